/* Reed-Solomon with SSSE3: the shift register of rs.c in two registers of 16 octets, where a shift by
 * two octets is one instruction each, and corrections by shuffles. */
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

/* Add the row of a symbol to a register of 32 octets. */
ALWAYS void add_row(vec *r, const uint64_t (*rows)[4], unsigned symbol)
{
    const uint8_t *row = (const uint8_t *)rows[symbol];
    r[0] = vec_add(r[0], vec_table(row));
    r[1] = vec_add(r[1], vec_table(row + 16));
}

/* Remainders of `lanes` codewords side by side, see rs.c. */
ALWAYS void divide(const uint8_t *at, size_t count, size_t pitch, uint8_t (*out)[FS_RS_MAX_PARITY],
                   unsigned lanes)
{
    const uint64_t(*rows)[256][4] = fs_rs_rows_16;
    vec r[5][2];
    UNROLL for (unsigned c = 0; c < lanes; c++)
        r[c][0] = r[c][1] = vec_fill(0);
    if (count & 1) {
        UNROLL for (unsigned c = 0; c < lanes; c++)
            add_row(r[c], rows[0], at[c]);
        at += pitch;
    }
    for (count /= 2; count; count--, at += 2 * pitch)
        UNROLL for (unsigned c = 0; c < lanes; c++) {
            unsigned two = (unsigned)_mm_cvtsi128_si32(r[c][0]);
            r[c][0] = _mm_alignr_epi8(r[c][1], r[c][0], 2);
            r[c][1] = _mm_srli_si128(r[c][1], 2);
            add_row(r[c], rows[1], at[c] ^ (two & 0xFF));
            add_row(r[c], rows[0], at[c + pitch] ^ (two >> 8 & 0xFF));
        }
    UNROLL for (unsigned c = 0; c < lanes; c++) {
        vec_store(out[c], r[c][0]);
        vec_store(out[c] + 16, r[c][1]);
    }
}

/* With fewer than three codewords side by side, or registers of 16 octets, general registers are
 * faster: what is looked up next has a shorter way from them. */
FS_TARGET_SSSE3 void fs_rs_remainders_ssse3(const fs_rs_code *code, const uint8_t *block,
                                            uint8_t out[FS_RS_MAX_INTERLEAVE][FS_RS_MAX_PARITY])
{
    size_t count = fs_rs_rows(code), pitch = code->interleave;
    if (code->e != 16 || pitch < 3)
        fs_rs_remainders_portable(code, block, out);
    else if (pitch == 3)
        divide(block, count, pitch, out, 3);
    else if (pitch == 5)
        divide(block, count, pitch, out, 5);
    else
        divide(block, count, pitch, out, 4);
    if (code->e == 16 && pitch == 8)
        divide(block + 4, count, pitch, out + 4, 4);
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
