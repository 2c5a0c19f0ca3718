/* Reed-Solomon with AVX2: corrections by shuffles of 32 octets. The shift register is that of SSSE3:
 * a shift across 32 octets would take longer than the two halves do. */
#include "rs_kernels.h"

#if defined(FS_X86)

#include <immintrin.h>

#define ALWAYS static inline __attribute__((always_inline)) FS_TARGET_AVX2
#define VEC_NBYTES 32
#define VEC_MASK_STEP 1

typedef __m256i vec;

ALWAYS vec vec_load(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

ALWAYS void vec_store(uint8_t *p, vec a)
{
    _mm256_storeu_si256((__m256i *)p, a);
}

ALWAYS vec vec_fill(uint8_t octet)
{
    return _mm256_set1_epi8((char)octet);
}

ALWAYS vec vec_add(vec a, vec b)
{
    return _mm256_xor_si256(a, b);
}

ALWAYS vec vec_table(const uint8_t *p)
{
    return _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i *)p));
}

ALWAYS vec vec_look_up(vec table, vec i)
{
    return _mm256_shuffle_epi8(table, i);
}

ALWAYS vec vec_low(vec a)
{
    return _mm256_and_si256(a, _mm256_set1_epi8(15));
}

ALWAYS vec vec_high(vec a)
{
    return vec_low(_mm256_srli_epi16(a, 4));
}

ALWAYS vec vec_next(vec a, vec b)
{
    return _mm256_alignr_epi8(_mm256_permute2x128_si256(a, b, 0x21), a, 1);
}

ALWAYS unsigned vec_first(vec a)
{
    return (unsigned)_mm_cvtsi128_si32(_mm256_castsi256_si128(a)) & 0xFF;
}

ALWAYS uint64_t vec_equal(vec a, vec b)
{
    return (unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, b));
}

#include "rs_shuffle.h"

FS_TARGET_AVX2 static int correct(const fs_rs_code *code, uint8_t *block, unsigned c,
                                  uint8_t *remainder)
{
    return shuffle_correct(code, block, c, remainder);
}

int64_t fs_rs_decode_avx2(const fs_rs_code *code, uint8_t *block, int16_t *corrected)
{
    return fs_rs_decode_by(fs_rs_remainders_ssse3, correct, code, block, corrected);
}

#endif
