/* HILwire 1, the frames between bench and board (docs/board-protocol.md): a delimiter, COBS of body,
 * fold and CRC-16 (least significant octet first), a delimiter. Framing is that of serial.h and the
 * CRC that of coding/crc.h; here are the fold and what ties the three together. */
#ifndef FLATSAT_HILWIRE_H
#define FLATSAT_HILWIRE_H

#include <stddef.h>
#include <stdint.h>

#include "serial.h"

/* CFFI BEGIN */

enum {
    FS_HILWIRE_CHECK = 3,  /* octets behind the body: fold, CRC */
    FS_HILWIRE_LEAST = 3,  /* octets of the shortest body: head, type, seq */
    FS_HILWIRE_MOST = 252, /* octets of the longest body with its check: one COBS block always */
    FS_HILWIRE_LINE = 255, /* octets of the longest frame, both delimiters included */
};

/* The second sum of Fletcher's checksum mod 256, the first one starting at 1: every octet weighs as
 * much as there are octets behind it, so it sees what a cyclic code overlooks. */
uint8_t fs_hilwire_fold(const uint8_t *body, size_t nbytes);

/* Frames of `count` bodies in buf, one behind the other, each between two delimiters. out has
 * FS_HILWIRE_LINE octets a body. Returns octets written; FS_E_SHORT if a body ends behind buf,
 * FS_E_RANGE for one of fewer than 3 or more than 249 octets, FS_E_CAPACITY: then nothing of use
 * was written. */
int64_t fs_hilwire_enframe(const uint8_t *buf, size_t nbytes, const uint64_t *offsets,
                           const uint32_t *lengths, size_t count, uint8_t *out, size_t capacity);

/* A receiver. What is not good is counted in `line` as every receiver of serial.h counts it: frames
 * whose CRC or fold is wrong are its bad_checks, and their octets bad. */
typedef struct {
    fs_deframer line;
    uint64_t bad_folds; /* of bad_checks: what CRC-16 alone would have let through */
    uint32_t nheld;     /* octets of an unfinished frame */
    uint8_t held[256];
} fs_hilwire;

/* max_nbytes: of a body with its check, 6 to 252. What stands before the first delimiter is idle.
 * Returns 0 or FS_E_RANGE. */
int64_t fs_hilwire_reset(fs_hilwire *rx, uint32_t max_nbytes);

/* Take octets until the input is used up or rows or out (FS_HILWIRE_LINE octets a row at most) might
 * overflow; an unfinished frame is held. Returns the number of good bodies, which may be 0 with
 * input left, or FS_E_CAPACITY where there is no room for one. */
int64_t fs_hilwire_feed(fs_hilwire *rx, const uint8_t *in, size_t nbytes, uint64_t *consumed,
                        fs_content_row *rows, size_t nrows, uint8_t *out, size_t nout);

/* CFFI END */

#endif
