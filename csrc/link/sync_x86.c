/* Marker search with vectors: the bit-sliced search 128, 256 and 512 places at a time, and markers at
 * octets 128 and 256 octets at a time. */
#include "flatsat.h"
#include "sync_kernels.h"

#if defined(FS_X86)

#include <immintrin.h>

typedef uint64_t word_128 __attribute__((vector_size(16)));
typedef uint64_t word_256 __attribute__((vector_size(32)));
typedef uint64_t word_512 __attribute__((vector_size(64)));

/* Octets of each 64-bit lane in reverse. */
#define SWAP_128 _mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7)

#define SLICE_LINKAGE
#define SLICE_SHIFT(a, b, r) ((a) << (r) | (b) >> (64 - (r)))
#define SLICE_XOR3(a, b, c) ((a) ^ (b) ^ (c))
#define SLICE_MAJ(a, b, c) ((((a) ^ (b)) & ((a) ^ (c))) ^ (a))
#define SLICE_EQUAL(a, b, c) (~(((a) ^ (b)) | ((a) ^ (c))))

FS_TARGET_SSSE3 static inline word_128 load_128(const uint8_t *p)
{
    return (word_128)_mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)p), SWAP_128);
}

FS_TARGET_SSSE3 static inline int any_128(word_128 a)
{
    return _mm_movemask_epi8(_mm_cmpeq_epi8((__m128i)a, _mm_setzero_si128())) != 0xFFFF;
}

#define SLICE(name) fs_marker_128_##name
#define SLICE_TARGET FS_TARGET_SSSE3
#define slice_word word_128
#define SLICE_LOAD load_128
#define SLICE_ANY any_128
#include "sync_slice.h"

FS_TARGET_AVX2 static inline word_256 load_256(const uint8_t *p)
{
    __m256i swap = _mm256_broadcastsi128_si256(SWAP_128);
    return (word_256)_mm256_shuffle_epi8(_mm256_loadu_si256((const __m256i *)p), swap);
}

FS_TARGET_AVX2 static inline int any_256(word_256 a)
{
    return !_mm256_testz_si256((__m256i)a, (__m256i)a);
}

#define SLICE(name) fs_marker_256_##name
#define SLICE_TARGET FS_TARGET_AVX2
#define slice_word word_256
#define SLICE_LOAD load_256
#define SLICE_ANY any_256
#include "sync_slice.h"

#undef SLICE_SHIFT
#undef SLICE_XOR3
#undef SLICE_MAJ
#undef SLICE_EQUAL
#define TERNARY(a, b, c, table)                                                                    \
    ((word_512)_mm512_ternarylogic_epi64((__m512i)(a), (__m512i)(b), (__m512i)(c), table))
#define SLICE_SHIFT(a, b, r) ((word_512)_mm512_shldi_epi64((__m512i)(a), (__m512i)(b), r))
#define SLICE_XOR3(a, b, c) TERNARY(a, b, c, 0x96)
#define SLICE_MAJ(a, b, c) TERNARY(a, b, c, 0xE8)
#define SLICE_EQUAL(a, b, c) TERNARY(a, b, c, 0x81)

FS_TARGET_AVX512 static inline word_512 load_512(const uint8_t *p)
{
    __m512i swap = _mm512_broadcast_i32x4(SWAP_128);
    return (word_512)_mm512_shuffle_epi8(_mm512_loadu_si512(p), swap);
}

FS_TARGET_AVX512 static inline int any_512(word_512 a)
{
    return _mm512_test_epi64_mask((__m512i)a, (__m512i)a) != 0;
}

#define SLICE(name) fs_marker_512_##name
#define SLICE_TARGET FS_TARGET_AVX512
#define slice_word word_512
#define SLICE_LOAD load_512
#define SLICE_ANY any_512
#include "sync_slice.h"

/* Octets at which the first and the last whole octet of the marker stand, 64 of them. */
typedef struct {
    __m256i first, last;
} octets_256;

FS_TARGET_AVX2 static inline __m256i pair_256(const uint8_t *p, size_t gap, octets_256 m)
{
    __m256i x = _mm256_cmpeq_epi8(_mm256_loadu_si256((const __m256i *)p), m.first);
    __m256i y = _mm256_cmpeq_epi8(_mm256_loadu_si256((const __m256i *)(p + gap)), m.last);
    return _mm256_and_si256(x, y);
}

FS_TARGET_AVX2 static inline __m256i octets_at_256(const fs_marker_scan *s, const uint8_t *p,
                                                   size_t gap, octets_256 up, octets_256 down)
{
    __m256i found = pair_256(p, gap, up);
    return s->inverted ? _mm256_or_si256(found, pair_256(p, gap, down)) : found;
}

/* Try the places of a mask, the first in its least significant bit; 0 when hits is full. */
static inline int try_octets(fs_marker_scan *s, size_t at, uint64_t mask)
{
    for (; mask; mask &= mask - 1) {
        uint64_t bit = 8 * (at + (uint64_t)__builtin_ctzll(mask));
        if (bit < s->end && !fs_marker_try(s, bit))
            return 0;
    }
    return 1;
}

FS_TARGET_AVX2 void fs_marker_octets_avx2(fs_marker_scan *s)
{
    size_t gap = s->nbits / 8 - 1, i = (size_t)((s->at + 7) >> 3);
    uint8_t first = (uint8_t)(s->marker >> 56), last = (uint8_t)(s->marker >> (56 - 8 * gap));
    octets_256 up = {_mm256_set1_epi8((char)first), _mm256_set1_epi8((char)last)};
    octets_256 down = {_mm256_set1_epi8((char)~first), _mm256_set1_epi8((char)~last)};
    for (; 8 * (uint64_t)i < s->end && i + gap + 128 <= s->nbytes; i += 128) {
        __m256i found[4];
        for (int j = 0; j < 4; j++)
            found[j] = octets_at_256(s, s->buf + i + 32 * j, gap, up, down);
        __m256i low = _mm256_or_si256(found[0], found[1]);
        __m256i high = _mm256_or_si256(found[2], found[3]), any = _mm256_or_si256(low, high);
        if (__builtin_expect(_mm256_testz_si256(any, any), 1))
            continue;
        for (int j = 0; j < 4; j++)
            if (!try_octets(s, i + 32 * (size_t)j, (uint32_t)_mm256_movemask_epi8(found[j])))
                return;
    }
    if (8 * (uint64_t)i > s->at)
        s->at = 8 * (uint64_t)i;
}

typedef struct {
    __m512i first, last;
} octets_512;

FS_TARGET_AVX512 static inline __mmask64 pair_512(const uint8_t *p, size_t gap, octets_512 m)
{
    __mmask64 x = _mm512_cmpeq_epi8_mask(_mm512_loadu_si512(p), m.first);
    return _mm512_mask_cmpeq_epi8_mask(x, _mm512_loadu_si512(p + gap), m.last);
}

FS_TARGET_AVX512 void fs_marker_octets_avx512(fs_marker_scan *s)
{
    size_t gap = s->nbits / 8 - 1, i = (size_t)((s->at + 7) >> 3);
    uint8_t first = (uint8_t)(s->marker >> 56), last = (uint8_t)(s->marker >> (56 - 8 * gap));
    octets_512 up = {_mm512_set1_epi8((char)first), _mm512_set1_epi8((char)last)};
    octets_512 down = {_mm512_set1_epi8((char)~first), _mm512_set1_epi8((char)~last)};
    for (; 8 * (uint64_t)i < s->end && i + gap + 256 <= s->nbytes; i += 256) {
        uint64_t found[4];
        for (int j = 0; j < 4; j++) {
            const uint8_t *p = s->buf + i + 64 * j;
            found[j] = pair_512(p, gap, up);
            if (s->inverted)
                found[j] |= pair_512(p, gap, down);
        }
        if (__builtin_expect(!(found[0] | found[1] | found[2] | found[3]), 1))
            continue;
        for (int j = 0; j < 4; j++)
            if (!try_octets(s, i + 64 * (size_t)j, found[j]))
                return;
    }
    if (8 * (uint64_t)i > s->at)
        s->at = 8 * (uint64_t)i;
}

#endif
