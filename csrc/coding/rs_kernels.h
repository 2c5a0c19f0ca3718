/* What the kernels of the Reed-Solomon code share; not part of the public interface. */
#ifndef FLATSAT_RS_KERNELS_H
#define FLATSAT_RS_KERNELS_H

#include "flatsat.h"

enum {
    FS_RS_NBYTES = 255,     /* a codeword that is not shortened */
    FS_RS_MAX_E = 16,       /* corrections of a codeword */
    FS_RS_MAX_PARITY = 32,  /* 2E */
    FS_RS_MAX_INTERLEAVE = 8,
    FS_RS_MAX_BLOCK = FS_RS_NBYTES * FS_RS_MAX_INTERLEAVE,
};

/* Octets of parity, and of data, in one codeword. */
static inline size_t fs_rs_parity(const fs_rs_code *code)
{
    return 2u * code->e;
}

static inline size_t fs_rs_rows(const fs_rs_code *code)
{
    return FS_RS_NBYTES - 2u * code->e - code->fill;
}

/* A kernel writes the parity of one block. */
typedef void fs_rs_encode_kernel(const fs_rs_code *code, uint8_t *block);

/* A kernel corrects one block; corrected[] has I places. Returns as fs_rs_decode does. */
typedef int64_t fs_rs_decode_kernel(const fs_rs_code *code, uint8_t *block, int16_t *corrected);

/* The remainder of each codeword by the generator, without its parity: out[c] is the parity that
 * the data of codeword c should have. Block and remainders are in the dual basis. */
typedef void fs_rs_remainders_kernel(const fs_rs_code *code, const uint8_t *block,
                                     uint8_t out[FS_RS_MAX_INTERLEAVE][FS_RS_MAX_PARITY]);

/* Correct codeword c, whose remainder in the dual basis, its parity counted, is not zero. Returns
 * what to write into corrected[]. */
typedef int fs_rs_correct_kernel(const fs_rs_code *code, uint8_t *block, unsigned c,
                                 uint8_t *remainder);

/* These octets of a block in the dual basis: where they are, or in scratch. */
const uint8_t *fs_rs_in_dual(const fs_rs_code *code, const uint8_t *octets, size_t nbytes,
                             uint8_t scratch[FS_RS_MAX_BLOCK]);

/* Encode and decode by kernels that take remainders and correct codewords. */
void fs_rs_encode_by(fs_rs_remainders_kernel *remainders, const fs_rs_code *code, uint8_t *block);
int64_t fs_rs_decode_by(fs_rs_remainders_kernel *remainders, fs_rs_correct_kernel *correct_one,
                        const fs_rs_code *code, uint8_t *block, int16_t *corrected);

fs_rs_remainders_kernel fs_rs_remainders_portable;
fs_rs_encode_kernel fs_rs_encode_portable;
fs_rs_decode_kernel fs_rs_decode_portable;
#if defined(FS_X86)
fs_rs_remainders_kernel fs_rs_remainders_ssse3;
fs_rs_encode_kernel fs_rs_encode_ssse3, fs_rs_encode_avx512;
fs_rs_decode_kernel fs_rs_decode_ssse3, fs_rs_decode_avx2, fs_rs_decode_avx512;

/* Whether a block of I = 5, E = 16, no fill, is clean; to_aes is the matrix of its basis. */
int fs_rs_clean_avx512(const uint8_t *block, uint64_t to_aes);
#elif defined(FS_ARM)
fs_rs_decode_kernel fs_rs_decode_neon;
#endif

/* What a symbol leaves when it is divided by the generator of E = 16 with so many symbols of the
 * codeword behind it, in the dual basis: by symbols behind, symbol. */
extern const uint64_t fs_rs_rows_16[2][256][4];

/* For tiers that look up products in a register of 16 octets, see rs_shuffle.h. */
extern const uint64_t fs_rs_nibbles[256][4], fs_rs_roots[128], fs_rs_powers[512];

/* Correct codeword c: exclusive-or values[i], as on the wire, over the octet at positions[i] of the
 * whole codeword, its virtual fill counted. Returns what to write into corrected[]. */
static inline int fs_rs_apply(const fs_rs_code *code, uint8_t *block, unsigned c,
                              const uint8_t *positions, const uint8_t *values, unsigned count)
{
    if (!code->lenient)
        for (unsigned i = 0; i < count; i++)
            if (positions[i] < code->fill)
                return FS_RS_IN_FILL;
    for (unsigned i = 0; i < count; i++)
        if (positions[i] >= code->fill)
            block[(size_t)(positions[i] - code->fill) * code->interleave + c] ^= values[i];
    return (int)count;
}

/* The result of a block from those of its codewords. */
static inline int64_t fs_rs_sum(const fs_rs_code *code, const int16_t *corrected)
{
    int64_t sum = 0;
    int failed = 0;
    for (unsigned c = 0; c < code->interleave; c++) {
        sum += corrected[c];
        failed |= corrected[c] < 0;
    }
    return failed ? FS_E_CHECK : sum;
}

#endif
