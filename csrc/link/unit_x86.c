/* Copying units with vectors. The last piece of a unit is done by masked loads and stores, or word
 * by word. Loops are not unrolled: a unit is a kilobyte or two. */
#include "flatsat.h"
#include "unit_kernels.h"

#if defined(FS_X86)

#include <immintrin.h>

/* Octets shifted left by r and filled from the next ones: shifts of 16-bit lanes, of which the bits
 * that crossed from the neighbouring octet are masked away. */
FS_TARGET_AVX2 void fs_unit_shift_avx2(const uint8_t *in, uint32_t r, uint8_t flip,
                                       const uint8_t *pn, uint8_t *out, size_t nbytes)
{
    __m128i left = _mm_cvtsi32_si128((int)r), right = _mm_cvtsi32_si128((int)(8 - r));
    __m256i high = _mm256_set1_epi8((char)(0xFF << r)), turn = _mm256_set1_epi8((char)flip);
    size_t i = 0;
    for (; i + 32 <= nbytes; i += 32) {
        __m256i a = _mm256_loadu_si256((const __m256i *)(in + i));
        __m256i b = _mm256_loadu_si256((const __m256i *)(in + i + 1));
        a = _mm256_and_si256(_mm256_sll_epi16(a, left), high);
        b = _mm256_andnot_si256(high, _mm256_srl_epi16(b, right));
        a = _mm256_xor_si256(_mm256_or_si256(a, b), turn);
        if (pn)
            a = _mm256_xor_si256(a, _mm256_loadu_si256((const __m256i *)(pn + i)));
        _mm256_storeu_si256((__m256i *)(out + i), a);
    }
    fs_unit_shift_word(in + i, r, flip, pn ? pn + i : NULL, out + i, nbytes - i);
}

FS_TARGET_AVX2 void fs_unit_mask_avx2(const uint8_t *in, uint32_t r, uint8_t flip,
                                      const uint8_t *pn, uint8_t *out, size_t nbytes)
{
    __m256i turn = _mm256_set1_epi8((char)flip);
    size_t i = 0;
    for (; i + 32 <= nbytes; i += 32) {
        __m256i a = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(in + i)), turn);
        if (pn)
            a = _mm256_xor_si256(a, _mm256_loadu_si256((const __m256i *)(pn + i)));
        _mm256_storeu_si256((__m256i *)(out + i), a);
    }
    fs_unit_mask_word(in + i, r, flip, pn ? pn + i : NULL, out + i, nbytes - i);
}

static const uint64_t ALL = ~(uint64_t)0;

/* A vector of octets, or the part of it that the mask names, shifted as above. */
FS_TARGET_AVX512 static inline __m512i shifted_512(const uint8_t *in, __m512i high, __m128i left,
                                                   __m128i right, __mmask64 part)
{
    __m512i a = _mm512_sll_epi16(_mm512_maskz_loadu_epi8(part, in), left);
    __m512i b = _mm512_srl_epi16(_mm512_maskz_loadu_epi8(part, in + 1), right);
    return _mm512_ternarylogic_epi64(high, a, b, 0xCA); /* high ? a : b */
}

/* The octets a, which stand at i of the unit, turned over, under the sequence and into place. */
FS_TARGET_AVX512 static inline void place_512(__m512i a, const uint8_t *pn, __m512i turn,
                                              uint8_t *out, size_t i, __mmask64 part)
{
    __m512i mask = pn ? _mm512_maskz_loadu_epi8(part, pn + i) : _mm512_setzero_si512();
    _mm512_mask_storeu_epi8(out + i, part, _mm512_ternarylogic_epi64(a, mask, turn, 0x96));
}

FS_TARGET_AVX512 void fs_unit_shift_avx512(const uint8_t *in, uint32_t r, uint8_t flip,
                                           const uint8_t *pn, uint8_t *out, size_t nbytes)
{
    __m128i left = _mm_cvtsi32_si128((int)r), right = _mm_cvtsi32_si128((int)(8 - r));
    __m512i high = _mm512_set1_epi8((char)(0xFF << r)), turn = _mm512_set1_epi8((char)flip);
    size_t i = 0;
    for (; i + 64 <= nbytes; i += 64)
        place_512(shifted_512(in + i, high, left, right, ALL), pn, turn, out, i, ALL);
    if (i < nbytes) {
        __mmask64 part = ALL >> (64 - (nbytes - i));
        place_512(shifted_512(in + i, high, left, right, part), pn, turn, out, i, part);
    }
}

FS_TARGET_AVX512 void fs_unit_mask_avx512(const uint8_t *in, uint32_t r, uint8_t flip,
                                          const uint8_t *pn, uint8_t *out, size_t nbytes)
{
    __m512i turn = _mm512_set1_epi8((char)flip);
    size_t i = 0;
    for (; i + 64 <= nbytes; i += 64) {
        __m512i mask = pn ? _mm512_loadu_si512(pn + i) : _mm512_setzero_si512();
        __m512i a = _mm512_ternarylogic_epi64(_mm512_loadu_si512(in + i), mask, turn, 0x96);
        _mm512_storeu_si512(out + i, a);
    }
    if (i < nbytes) {
        __mmask64 part = ~(uint64_t)0 >> (64 - (nbytes - i));
        __m512i mask = pn ? _mm512_maskz_loadu_epi8(part, pn + i) : _mm512_setzero_si512();
        __m512i a = _mm512_maskz_loadu_epi8(part, in + i);
        a = _mm512_ternarylogic_epi64(a, mask, turn, 0x96);
        _mm512_mask_storeu_epi8(out + i, part, a);
    }
}

#endif
