/* The Reed-Solomon code of CCSDS 131.0-B-5 section 4: (255,223), which corrects E = 16 octets of a
 * codeword, and (255,239) with E = 8.
 *
 * A block is what stands behind a sync marker: I codewords, interleaved octet by octet, so that
 * octet k of the block belongs to codeword k mod I. Its data come first, I * (255 - 2E - fill)
 * octets, then its parity, I * 2E octets. Shortened codewords have `fill` virtual zeros in front,
 * which are never sent. Octets on the wire are in the dual basis, which is what the standard
 * prescribes, or in the conventional one, which many implementations speak. */
#ifndef FLATSAT_RS_H
#define FLATSAT_RS_H

#include <stddef.h>
#include <stdint.h>

/* CFFI BEGIN */

/* Parameters of a code; fs_rs_check() says whether they are allowed. */
typedef struct {
    uint8_t e;          /* octets that can be corrected in a codeword: 16 or 8 */
    uint8_t dual;       /* 1: dual basis on the wire, 0: conventional basis */
    uint8_t interleave; /* I: 1, 2, 3, 4, 5 or 8 */
    uint8_t fill;       /* leading virtual zeros of each codeword, at most 254 - 2E */
    uint8_t lenient;    /* 1: accept a codeword whose corrections fall into its virtual fill; they
                         * are counted and otherwise dropped. Such a codeword is not what was
                         * sent, so by default it fails. */
} fs_rs_code;

/* What is counted for a codeword that failed. It is as it was received. */
enum {
    FS_RS_FAILED = -1,  /* more than E octets are wrong */
    FS_RS_IN_FILL = -2, /* a correction fell into the virtual fill, and the code is not lenient */
};

/* 0, or FS_E_RANGE for parameters that the standard does not have. Every function below asks this
 * first. */
int64_t fs_rs_check(const fs_rs_code *code);

/* Octets of data of a block: I * (255 - 2E - fill). */
size_t fs_rs_data_nbytes(const fs_rs_code *code);

/* Octets of a block, data and parity: I * (255 - fill). */
size_t fs_rs_block_nbytes(const fs_rs_code *code);

/* Write the parity of a block behind its data; nbytes is the room at block. Returns the octets of
 * the block, or FS_E_SHORT, and then nothing was written. */
int64_t fs_rs_encode(const fs_rs_code *code, uint8_t *block, size_t nbytes);

/* The same for `count` blocks that begin `stride` octets apart. Returns count. */
int64_t fs_rs_encode_batch(const fs_rs_code *code, uint8_t *blocks, size_t nbytes, size_t stride,
                           size_t count);

/* Correct a block in place. Into corrected[], unless NULL, goes for each of the I codewords how
 * many octets were wrong, or FS_RS_FAILED or FS_RS_IN_FILL, both negative. Codewords that did not
 * fail are corrected whatever became of their neighbours. Returns the sum of the corrections,
 * FS_E_CHECK if a codeword failed, FS_E_SHORT if the block is longer than nbytes. */
int64_t fs_rs_decode(const fs_rs_code *code, uint8_t *block, size_t nbytes, int16_t *corrected);

/* The same for `count` blocks that begin `stride` octets apart; corrected[], unless NULL, has I
 * numbers a block. Returns how many blocks are without a failed codeword. */
int64_t fs_rs_decode_batch(const fs_rs_code *code, uint8_t *blocks, size_t nbytes, size_t stride,
                           size_t count, int16_t *corrected);

/* CFFI END */

#endif
