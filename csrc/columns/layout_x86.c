/* Columns on x86-64: SSSE3 by vector extensions, AVX2 and AVX-512 by intrinsics. */
#include "layout_kernels.h"

#if defined(FS_X86)

#include <immintrin.h>
#if !defined(__clang__) /* which does not do it */
#pragma GCC optimize("no-unswitch-loops")
#endif

/* --- SSSE3 ------------------------------------------------------------------------------------ */

#define FS_T FS_TARGET_SSSE3
#define fs_columns_128 fs_columns_ssse3
#include "layout_vector_128.h"

FS_T static inline void store_128(uint8_t *to, vec_128 v, int stream)
{
    if (stream)
        _mm_stream_si128((__m128i *)to, (__m128i)v);
    else
        _mm_storeu_si128((__m128i *)to, (__m128i)v);
}

#include "layout_vector.h"
#undef FS_V
#undef FS_N
#undef FS_T

/* --- AVX2 ------------------------------------------------------------------------------------- */

#define FS_T FS_TARGET_AVX2
#define FS_V(name) name##_256
#define FS_N 8
#define FS_ONE(name, ...)                                                                          \
    FS_T static inline __attribute__((always_inline)) vec_256 name##_256(__VA_ARGS__)
#define fs_columns_256 fs_columns_avx2

typedef __m256i vec_256;

FS_ONE(swap, vec_256 v)
{
    return _mm256_shuffle_epi8(v, _mm256_broadcastsi128_si256(_mm_setr_epi8(
                                      3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12)));
}

FS_ONE(load, const fs_block *b, int strided, size_t i, size_t window)
{
    const uint8_t *low = strided ? b->first + i * b->stride : b->base[i];
    const uint8_t *high = strided ? low + 4 * b->stride : b->base[i + 4];
    return swap_256(_mm256_loadu2_m128i((const __m128i *)(high + window),
                                        (const __m128i *)(low + window)));
}

FS_ONE(low32, vec_256 a, vec_256 b) { return _mm256_unpacklo_epi32(a, b); }
FS_ONE(high32, vec_256 a, vec_256 b) { return _mm256_unpackhi_epi32(a, b); }
FS_ONE(low64, vec_256 a, vec_256 b) { return _mm256_unpacklo_epi64(a, b); }
FS_ONE(high64, vec_256 a, vec_256 b) { return _mm256_unpackhi_epi64(a, b); }
FS_ONE(shl, vec_256 v, unsigned n) { return _mm256_sll_epi32(v, _mm_cvtsi32_si128((int)n)); }
FS_ONE(shr, vec_256 v, unsigned n) { return _mm256_srl_epi32(v, _mm_cvtsi32_si128((int)n)); }
FS_ONE(sar, vec_256 v, unsigned n) { return _mm256_sra_epi32(v, _mm_cvtsi32_si128((int)n)); }
FS_ONE(shr16, vec_256 v, unsigned n) { return _mm256_srl_epi16(v, _mm_cvtsi32_si128((int)n)); }
FS_ONE(sar16, vec_256 v, unsigned n) { return _mm256_sra_epi16(v, _mm_cvtsi32_si128((int)n)); }

FS_ONE(funnel, vec_256 a, vec_256 b, unsigned n)
{
    return _mm256_or_si256(shl_256(a, n), shr_256(b, 32 - n)); /* by 32 bits leaves nothing */
}

FS_ONE(halves, vec_256 a, vec_256 b)
{
    return _mm256_packs_epi32(_mm256_srai_epi32(a, 16), _mm256_srai_epi32(b, 16));
}

FS_ONE(octets, vec_256 a, vec_256 b)
{
    vec_256 low = _mm256_set1_epi16(0xFF);
    return _mm256_packus_epi16(_mm256_and_si256(a, low), _mm256_and_si256(b, low));
}

FS_ONE(order16, vec_256 v) { return _mm256_permute4x64_epi64(v, 0xD8); }

FS_ONE(order8, vec_256 v)
{
    return _mm256_permutevar8x32_epi32(v, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

FS_T static inline void pair_256(vec_256 lo, vec_256 hi, vec_256 *first, vec_256 *second)
{
    vec_256 a = _mm256_unpacklo_epi32(lo, hi), b = _mm256_unpackhi_epi32(lo, hi);
    *first = _mm256_permute2x128_si256(a, b, 0x20);
    *second = _mm256_permute2x128_si256(a, b, 0x31);
}

FS_T static inline void store_256(uint8_t *to, vec_256 v, int stream)
{
    if (stream)
        _mm256_stream_si256((vec_256 *)to, v);
    else
        _mm256_storeu_si256((vec_256 *)to, v);
}

#include "layout_vector.h"
#undef FS_ONE
#undef FS_V
#undef FS_N
#undef FS_T

/* --- AVX-512 ---------------------------------------------------------------------------------- */

#define FS_T FS_TARGET_AVX512
#define FS_V(name) name##_512
#define FS_N 16
#define FS_ONE(name, ...)                                                                          \
    FS_T static inline __attribute__((always_inline)) vec_512 name##_512(__VA_ARGS__)
#define fs_columns_512 fs_columns_avx512

typedef __m512i vec_512;

FS_ONE(swap, vec_512 v)
{
    return _mm512_shuffle_epi8(v, _mm512_broadcast_i32x4(_mm_setr_epi8(
                                      3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12)));
}

FS_T static inline __attribute__((always_inline)) __m128i
packet_512(const fs_block *b, int strided, size_t i, size_t window)
{
    const uint8_t *packet = strided ? b->first + i * b->stride : b->base[i];
    return _mm_loadu_si128((const __m128i *)(packet + window));
}

FS_ONE(load, const fs_block *b, int strided, size_t i, size_t window)
{
    vec_512 v = _mm512_castsi128_si512(packet_512(b, strided, i, window));
    v = _mm512_mask_broadcast_i32x4(v, 0x00F0, packet_512(b, strided, i + 4, window));
    v = _mm512_mask_broadcast_i32x4(v, 0x0F00, packet_512(b, strided, i + 8, window));
    v = _mm512_mask_broadcast_i32x4(v, 0xF000, packet_512(b, strided, i + 12, window));
    return swap_512(v);
}

FS_ONE(low32, vec_512 a, vec_512 b) { return _mm512_unpacklo_epi32(a, b); }
FS_ONE(high32, vec_512 a, vec_512 b) { return _mm512_unpackhi_epi32(a, b); }
FS_ONE(low64, vec_512 a, vec_512 b) { return _mm512_unpacklo_epi64(a, b); }
FS_ONE(high64, vec_512 a, vec_512 b) { return _mm512_unpackhi_epi64(a, b); }
FS_ONE(shl, vec_512 v, unsigned n) { return _mm512_sll_epi32(v, _mm_cvtsi32_si128((int)n)); }
FS_ONE(shr, vec_512 v, unsigned n) { return _mm512_srl_epi32(v, _mm_cvtsi32_si128((int)n)); }
FS_ONE(sar, vec_512 v, unsigned n) { return _mm512_sra_epi32(v, _mm_cvtsi32_si128((int)n)); }
FS_ONE(shr16, vec_512 v, unsigned n) { return _mm512_srl_epi16(v, _mm_cvtsi32_si128((int)n)); }
FS_ONE(sar16, vec_512 v, unsigned n) { return _mm512_sra_epi16(v, _mm_cvtsi32_si128((int)n)); }

FS_ONE(funnel, vec_512 a, vec_512 b, unsigned n)
{
    return _mm512_shldv_epi32(a, b, _mm512_set1_epi32((int)n));
}

/* 1, 3, 5, ... of both: 16-bit lanes that count on by 2. */
FS_ONE(halves, vec_512 a, vec_512 b)
{
    static const uint16_t ODD[32] = {1,  3,  5,  7,  9,  11, 13, 15, 17, 19, 21,
                                     23, 25, 27, 29, 31, 33, 35, 37, 39, 41, 43,
                                     45, 47, 49, 51, 53, 55, 57, 59, 61, 63};
    return _mm512_permutex2var_epi16(a, _mm512_loadu_si512(ODD), b);
}

FS_ONE(octets, vec_512 a, vec_512 b)
{
    static const uint8_t EVEN[64] = {
        0,  2,  4,  6,  8,  10, 12, 14, 16, 18,  20,  22,  24,  26,  28,  30,
        32, 34, 36, 38, 40, 42, 44, 46, 48, 50,  52,  54,  56,  58,  60,  62,
        64, 66, 68, 70, 72, 74, 76, 78, 80, 82,  84,  86,  88,  90,  92,  94,
        96, 98, 100, 102, 104, 106, 108, 110, 112, 114, 116, 118, 120, 122, 124, 126};
    return _mm512_permutex2var_epi8(a, _mm512_loadu_si512(EVEN), b);
}

FS_ONE(order16, vec_512 v) { return v; }
FS_ONE(order8, vec_512 v) { return v; }

FS_T static inline void pair_512(vec_512 lo, vec_512 hi, vec_512 *first, vec_512 *second)
{
    vec_512 even = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    *first = _mm512_permutex2var_epi32(lo, even, hi);
    *second = _mm512_permutex2var_epi32(lo, _mm512_add_epi32(even, _mm512_set1_epi32(8)), hi);
}

FS_T static inline void store_512(uint8_t *to, vec_512 v, int stream)
{
    if (stream)
        _mm512_stream_si512((vec_512 *)to, v);
    else
        _mm512_storeu_si512(to, v);
}

#include "layout_vector.h"

#endif
