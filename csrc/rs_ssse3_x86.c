/* Reed-Solomon with SSSE3: the shift register of rs.c in one or two registers of 16 octets, where a
 * shift by two octets is one instruction, and corrections by shuffles. */
#include "rs_kernels.h"

#if defined(FS_X86)

#include <tmmintrin.h>

#define ALWAYS static inline __attribute__((always_inline)) FS_TARGET_SSSE3
#define UNROLL _Pragma("GCC unroll 8")
#define VEC_NBYTES 16
#define VEC_MASK_STEP 1

typedef __m128i vec;

ALWAYS vec vec_load(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

ALWAYS void vec_store(uint8_t *p, vec a)
{
    _mm_storeu_si128((__m128i *)p, a);
}

ALWAYS vec vec_fill(uint8_t octet)
{
    return _mm_set1_epi8((char)octet);
}

ALWAYS vec vec_add(vec a, vec b)
{
    return _mm_xor_si128(a, b);
}

ALWAYS vec vec_table(const uint8_t *p)
{
    return _mm_load_si128((const __m128i *)p);
}

ALWAYS vec vec_look_up(vec table, vec i)
{
    return _mm_shuffle_epi8(table, i);
}

ALWAYS vec vec_low(vec a)
{
    return _mm_and_si128(a, _mm_set1_epi8(15));
}

ALWAYS vec vec_high(vec a)
{
    return vec_low(_mm_srli_epi16(a, 4));
}

ALWAYS vec vec_next(vec a, vec b)
{
    return _mm_alignr_epi8(b, a, 1);
}

ALWAYS unsigned vec_first(vec a)
{
    return (unsigned)_mm_cvtsi128_si32(a) & 0xFF;
}

ALWAYS uint64_t vec_equal(vec a, vec b)
{
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(a, b));
}

#include "rs_shuffle.h"

/* Drop the first two of the 16 n octets of a register, and return them. */
ALWAYS unsigned drop_two(vec *r, unsigned n)
{
    unsigned two = (unsigned)_mm_cvtsi128_si32(r[0]);
    if (n == 2)
        r[0] = _mm_alignr_epi8(r[1], r[0], 2);
    r[n - 1] = _mm_srli_si128(r[n - 1], 2);
    return two;
}

/* Add the row of a symbol; rows have n words. */
ALWAYS void add_row(vec *r, const uint8_t *rows, unsigned symbol, unsigned n)
{
    UNROLL for (unsigned w = 0; w < n; w++)
        r[w] = vec_add(r[w], vec_table(rows + 16 * (n * symbol + w)));
}

/* Remainders of `lanes` codewords side by side. */
ALWAYS void divide(const uint8_t *rows, const uint8_t *at, size_t count, size_t pitch,
                   uint8_t (*out)[FS_RS_MAX_PARITY], unsigned lanes, unsigned n)
{
    vec r[5][2];
    UNROLL for (unsigned c = 0; c < lanes; c++)
        r[c][0] = r[c][1] = _mm_setzero_si128();
    if (count & 1) {
        UNROLL for (unsigned c = 0; c < lanes; c++)
            add_row(r[c], rows, at[c], n);
        at += pitch;
    }
    for (count /= 2; count; count--, at += 2 * pitch)
        UNROLL for (unsigned c = 0; c < lanes; c++) {
            unsigned two = drop_two(r[c], n);
            add_row(r[c], rows + 16 * 256 * n, at[c] ^ (two & 0xFF), n);
            add_row(r[c], rows, at[c + pitch] ^ (two >> 8 & 0xFF), n);
        }
    UNROLL for (unsigned c = 0; c < lanes; c++)
        UNROLL for (unsigned w = 0; w < n; w++)
            vec_store(out[c] + 16 * w, r[c][w]);
}

ALWAYS void divide_lanes(const uint64_t *table, const uint8_t *at, size_t count, size_t pitch,
                         uint8_t (*out)[FS_RS_MAX_PARITY], unsigned n)
{
    const uint8_t *rows = (const uint8_t *)table;
    if (pitch == 1)
        divide(rows, at, count, pitch, out, 1, n);
    else if (pitch == 2)
        divide(rows, at, count, pitch, out, 2, n);
    else if (pitch == 3)
        divide(rows, at, count, pitch, out, 3, n);
    else if (pitch == 5)
        divide(rows, at, count, pitch, out, 5, n);
    else
        divide(rows, at, count, pitch, out, 4, n);
    if (pitch == 8)
        divide(rows, at + 4, count, pitch, out + 4, 4, n);
}

FS_TARGET_SSSE3 void fs_rs_remainders_ssse3(const fs_rs_code *code, const uint8_t *block,
                                            uint8_t out[FS_RS_MAX_INTERLEAVE][FS_RS_MAX_PARITY])
{
    size_t count = fs_rs_rows(code), pitch = code->interleave;
    if (code->e == 16)
        divide_lanes(fs_rs_rows_16[code->dual][0][0], block, count, pitch, out, 2);
    else
        divide_lanes(fs_rs_rows_8[code->dual][0][0], block, count, pitch, out, 1);
}

FS_TARGET_SSSE3 static int correct(const fs_rs_code *code, uint8_t *block, unsigned c,
                                   uint8_t *remainder)
{
    return shuffle_correct(code, block, c, remainder);
}

void fs_rs_encode_ssse3(const fs_rs_code *code, uint8_t *block)
{
    fs_rs_encode_by(fs_rs_remainders_ssse3, code, block);
}

int64_t fs_rs_decode_ssse3(const fs_rs_code *code, uint8_t *block, int16_t *corrected)
{
    return fs_rs_decode_by(fs_rs_remainders_ssse3, correct, code, block, corrected);
}

#endif
