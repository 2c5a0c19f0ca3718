/* The Viterbi decoder on x86-64. All forms are one idea: metrics of 64 states as 16-bit lanes of
 * 8, 4 or 2 registers; a step splits them into those of even states (a) and of odd ones (b), and
 * picks the g of each butterfly by a byte shuffle from {q, -q, p, -p}, eight octets a step. */
#include "flatsat.h"
#include "viterbi_kernels.h"

#if defined(FS_X86)
#include <immintrin.h>
#include <string.h>

enum { FS_BLOCK = 16 }; /* steps done between two looks at the loop's end */

static const uint8_t CHOICES[64] = {FS_BUTTERFLIES(FS_CHOICE_OCTETS)};

/* Keeps an array where it can be loaded eight octets at a time into every lane: taking them out of
 * registers again would cost the shuffles that are short. */
#define FS_IN_MEMORY(array) __asm__("" : "+m"(array))

/* {q, -q, p, -p} of four steps, two a register, from their four pairs of symbols. */
#define QUADS(name, width, target)                                                                 \
    static inline __attribute__((always_inline)) target void name(__m##width##i v,                 \
                                                                  __m##width##i *low,              \
                                                                  __m##width##i *high)
QUADS(quads_ssse3, 128, FS_TARGET_SSSE3)
{
    __m128i other = _mm_or_si128(_mm_slli_epi32(v, 16), _mm_srli_epi32(v, 16));
    __m128i q = _mm_sub_epi16(v, other);
    __m128i p = _mm_sign_epi16(_mm_add_epi16(v, other), _mm_set1_epi32((int)0xFFFF0001));
    *low = _mm_unpacklo_epi32(q, p);
    *high = _mm_unpackhi_epi32(q, p);
}

QUADS(quads_avx2, 256, FS_TARGET_AVX2)
{
    __m256i other = _mm256_or_si256(_mm256_slli_epi32(v, 16), _mm256_srli_epi32(v, 16));
    __m256i q = _mm256_sub_epi16(v, other);
    __m256i p = _mm256_sign_epi16(_mm256_add_epi16(v, other), _mm256_set1_epi32((int)0xFFFF0001));
    *low = _mm256_unpacklo_epi32(q, p);
    *high = _mm256_unpackhi_epi32(q, p);
}

QUADS(quads_avx512, 512, FS_TARGET_AVX512)
{
    __m512i other = _mm512_rol_epi32(v, 16), sum = _mm512_add_epi16(v, other);
    __m512i q = _mm512_sub_epi16(v, other);
    __m512i p = _mm512_mask_sub_epi16(sum, 0xAAAAAAAA, _mm512_setzero_si512(), sum);
    *low = _mm512_unpacklo_epi32(q, p);
    *high = _mm512_unpackhi_epi32(q, p);
}

/* Even 16-bit lanes of each 128 bits to their lower half, odd ones to the upper. */
#define EVEN_ODD 0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15
static const uint8_t SPLIT[32] = {EVEN_ODD, EVEN_ODD};

static FS_TARGET_SSSE3 inline __attribute__((always_inline)) uint64_t step_ssse3(__m128i m[8],
                                                                                 __m128i quad)
{
    const __m128i split = _mm_loadu_si128((const __m128i *)SPLIT);
    __m128i lower[4], upper[4], odd_lower[2], odd_upper[2];
    uint64_t bits = 0;
#pragma GCC unroll 4
    for (int r = 0; r < 4; r++) {
        __m128i x = _mm_shuffle_epi8(m[2 * r], split), y = _mm_shuffle_epi8(m[2 * r + 1], split);
        __m128i a = _mm_unpacklo_epi64(x, y), b = _mm_unpackhi_epi64(x, y);
        __m128i choice = _mm_loadu_si128((const __m128i *)(CHOICES + 16 * r));
        __m128i g = _mm_shuffle_epi8(quad, choice);
        __m128i a0 = _mm_add_epi16(a, g), b0 = _mm_sub_epi16(b, g);
        lower[r] = _mm_max_epi16(a0, b0), odd_lower[r % 2] = _mm_cmpgt_epi16(b0, a0);
        __m128i a1 = _mm_sub_epi16(a, g), b1 = _mm_add_epi16(b, g);
        upper[r] = _mm_max_epi16(a1, b1), odd_upper[r % 2] = _mm_cmpgt_epi16(b1, a1);
        if (r % 2 == 0)
            continue;
        __m128i low = _mm_packs_epi16(odd_lower[0], odd_lower[1]);
        __m128i high = _mm_packs_epi16(odd_upper[0], odd_upper[1]);
        bits |= (uint64_t)_mm_movemask_epi8(low) << 16 * (r / 2);
        bits |= (uint64_t)_mm_movemask_epi8(high) << (32 + 16 * (r / 2));
    }
    for (int r = 0; r < 4; r++)
        m[r] = lower[r], m[r + 4] = upper[r];
    return bits;
}

static FS_TARGET_SSSE3 void blocks_ssse3(const uint8_t *pairs, int16_t metrics[FS_STATES],
                                         uint64_t *decisions, size_t nsteps)
{
    __m128i m[8];
    for (int r = 0; r < 8; r++)
        m[r] = _mm_loadu_si128((const __m128i *)(metrics + 8 * r));
    for (size_t t = 0; t < nsteps; t += 4) {
        __m128i v = _mm_loadl_epi64((const __m128i *)(pairs + 2 * t)), low, high;
        v = _mm_unpacklo_epi8(v, _mm_setzero_si128());
        quads_ssse3(_mm_sub_epi16(v, _mm_set1_epi16(128)), &low, &high);
        decisions[t] = step_ssse3(m, low);
        decisions[t + 1] = step_ssse3(m, _mm_unpackhi_epi64(low, low));
        decisions[t + 2] = step_ssse3(m, high);
        decisions[t + 3] = step_ssse3(m, _mm_unpackhi_epi64(high, high));
        if ((t + 4) % FS_NORMALISE && t + 4 != nsteps)
            continue;
        __m128i zero = _mm_shuffle_epi8(m[0], _mm_set1_epi16(0x0100));
        for (int r = 0; r < 8; r++)
            m[r] = _mm_sub_epi16(m[r], zero);
    }
    for (int r = 0; r < 8; r++)
        _mm_storeu_si128((__m128i *)(metrics + 8 * r), m[r]);
}

/* Two registers hold lower states, 0-7 16-23 and 8-15 24-31, and two the upper ones alike: the
 * packing of comparisons by 128 bits then leaves their bits in order. */
static FS_TARGET_AVX2 inline __attribute__((always_inline)) uint64_t step_avx2(__m256i m[4],
                                                                               __m256i quad)
{
    const __m256i split = _mm256_loadu_si256((const __m256i *)SPLIT);
    __m256i even[2], odd[2], lower[2], upper[2], odd_lower[2], odd_upper[2];
    for (int r = 0; r < 2; r++) {
        __m256i x = _mm256_shuffle_epi8(m[2 * r], split);
        __m256i y = _mm256_shuffle_epi8(m[2 * r + 1], split);
        even[r] = _mm256_unpacklo_epi64(x, y), odd[r] = _mm256_unpackhi_epi64(x, y);
    }
    const __m256i choices[2] = {
        _mm256_loadu2_m128i((const __m128i *)(CHOICES + 32), (const __m128i *)CHOICES),
        _mm256_loadu2_m128i((const __m128i *)(CHOICES + 48), (const __m128i *)(CHOICES + 16))};
    for (int r = 0; r < 2; r++) {
        __m256i a = r ? _mm256_permute2x128_si256(even[0], even[1], 0x31)
                      : _mm256_permute2x128_si256(even[0], even[1], 0x20);
        __m256i b = r ? _mm256_permute2x128_si256(odd[0], odd[1], 0x31)
                      : _mm256_permute2x128_si256(odd[0], odd[1], 0x20);
        __m256i g = _mm256_shuffle_epi8(quad, choices[r]);
        __m256i a0 = _mm256_add_epi16(a, g), b0 = _mm256_sub_epi16(b, g);
        __m256i a1 = _mm256_sub_epi16(a, g), b1 = _mm256_add_epi16(b, g);
        lower[r] = _mm256_max_epi16(a0, b0), odd_lower[r] = _mm256_cmpgt_epi16(b0, a0);
        upper[r] = _mm256_max_epi16(a1, b1), odd_upper[r] = _mm256_cmpgt_epi16(b1, a1);
    }
    m[0] = lower[0], m[1] = lower[1], m[2] = upper[0], m[3] = upper[1];
    uint32_t low = (uint32_t)_mm256_movemask_epi8(_mm256_packs_epi16(odd_lower[0], odd_lower[1]));
    uint32_t high = (uint32_t)_mm256_movemask_epi8(_mm256_packs_epi16(odd_upper[0], odd_upper[1]));
    return (uint64_t)high << 32 | low;
}

static FS_TARGET_AVX2 void blocks_avx2(const uint8_t *pairs, int16_t metrics[FS_STATES],
                                       uint64_t *decisions, size_t nsteps)
{
    __m256i m[4];
    for (int r = 0; r < 4; r++) {
        const int16_t *from = metrics + 32 * (r / 2) + 8 * (r % 2);
        m[r] = _mm256_loadu2_m128i((const __m128i *)(from + 16), (const __m128i *)from);
    }
    for (size_t t = 0; t < nsteps; t += 8) {
        uint64_t quads[8] __attribute__((aligned(32)));
        __m256i v = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(pairs + 2 * t)));
        quads_avx2(_mm256_sub_epi16(v, _mm256_set1_epi16(128)), (__m256i *)quads,
                   (__m256i *)(quads + 4));
        FS_IN_MEMORY(quads);
#pragma GCC unroll 8
        for (int u = 0; u < 8; u++) {
            uint64_t quad = quads[u % 4 / 2 * 4 + u / 4 * 2 + u % 2];
            decisions[t + (size_t)u] = step_avx2(m, _mm256_set1_epi64x((long long)quad));
        }
        if ((t + 8) % FS_NORMALISE && t + 8 != nsteps)
            continue;
        __m256i zero = _mm256_broadcastw_epi16(_mm256_castsi256_si128(m[0]));
        for (int r = 0; r < 4; r++)
            m[r] = _mm256_sub_epi16(m[r], zero);
    }
    for (int r = 0; r < 4; r++) {
        int16_t *to = metrics + 32 * (r / 2) + 8 * (r % 2);
        _mm256_storeu2_m128i((__m128i *)(to + 16), (__m128i *)to, m[r]);
    }
}

#define EVEN(i) (short)(2 * (i))
#define ODD(i) (short)(2 * (i) + 1)
static const int16_t EVENS[32] = {FS_BUTTERFLIES(EVEN)};
static const int16_t ODDS[32] = {FS_BUTTERFLIES(ODD)};

/* n segments in turn, so that one's results are ready when it is its turn again. */
static FS_TARGET_AVX512 inline __attribute__((always_inline)) void
blocks_avx512(fs_lanes *lanes, uint32_t first, const int n, size_t nsteps)
{
    const __m512i choices = _mm512_loadu_si512(CHOICES), mean = _mm512_set1_epi16(128);
    const __m512i evens = _mm512_loadu_si512(EVENS), odds = _mm512_loadu_si512(ODDS);
    __m512i low[FS_VITERBI_LANES], high[FS_VITERBI_LANES];
    for (int l = 0; l < n; l++) {
        low[l] = _mm512_loadu_si512(lanes->metrics[first + l]);
        high[l] = _mm512_loadu_si512(lanes->metrics[first + l] + 32);
    }
    for (size_t t = 0; t < nsteps; t += FS_BLOCK) {
        uint64_t quads[FS_VITERBI_LANES][FS_BLOCK] __attribute__((aligned(64)));
        for (int l = 0; l < n; l++) {
            const uint8_t *from = lanes->pairs[first + l] + 2 * t;
            __m512i v = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)from));
            quads_avx512(_mm512_sub_epi16(v, mean), (__m512i *)quads[l], (__m512i *)(quads[l] + 8));
        }
        FS_IN_MEMORY(quads);
#pragma GCC unroll 16
        for (int u = 0; u < FS_BLOCK; u++)
#pragma GCC unroll 4
            for (int l = 0; l < n; l++) {
                uint64_t quad = quads[l][u % 4 / 2 * 8 + u / 4 * 2 + u % 2];
                __m512i g = _mm512_shuffle_epi8(_mm512_set1_epi64((long long)quad), choices);
                __m512i a = _mm512_permutex2var_epi16(low[l], evens, high[l]);
                __m512i b = _mm512_permutex2var_epi16(low[l], odds, high[l]);
                __m512i a0 = _mm512_add_epi16(a, g), b0 = _mm512_sub_epi16(b, g);
                __m512i a1 = _mm512_sub_epi16(a, g), b1 = _mm512_add_epi16(b, g);
                low[l] = _mm512_max_epi16(a0, b0);
                high[l] = _mm512_max_epi16(a1, b1);
                __mmask32 odd[2] = {_mm512_cmpgt_epi16_mask(b0, a0),
                                    _mm512_cmpgt_epi16_mask(b1, a1)};
                memcpy(lanes->decisions[first + l] + t + u, odd, sizeof odd);
            }
        if ((t + FS_BLOCK) % FS_NORMALISE && t + FS_BLOCK != nsteps)
            continue;
        for (int l = 0; l < n; l++) {
            __m512i zero = _mm512_broadcastw_epi16(_mm512_castsi512_si128(low[l]));
            low[l] = _mm512_sub_epi16(low[l], zero);
            high[l] = _mm512_sub_epi16(high[l], zero);
        }
    }
    for (int l = 0; l < n; l++) {
        _mm512_storeu_si512(lanes->metrics[first + l], low[l]);
        _mm512_storeu_si512(lanes->metrics[first + l] + 32, high[l]);
    }
}

void fs_viterbi_forward_ssse3(fs_lanes *lanes, uint32_t nlanes, size_t nsteps)
{
    size_t whole = nsteps & ~(size_t)(FS_BLOCK - 1);
    for (uint32_t l = 0; l < nlanes; l++)
        blocks_ssse3(lanes->pairs[l], lanes->metrics[l], lanes->decisions[l], whole);
    fs_viterbi_forward_rest(lanes, nlanes, whole, nsteps);
}

void fs_viterbi_forward_avx2(fs_lanes *lanes, uint32_t nlanes, size_t nsteps)
{
    size_t whole = nsteps & ~(size_t)(FS_BLOCK - 1);
    for (uint32_t l = 0; l < nlanes; l++)
        blocks_avx2(lanes->pairs[l], lanes->metrics[l], lanes->decisions[l], whole);
    fs_viterbi_forward_rest(lanes, nlanes, whole, nsteps);
}

FS_TARGET_AVX512 void fs_viterbi_forward_avx512(fs_lanes *lanes, uint32_t nlanes, size_t nsteps)
{
    size_t whole = nsteps & ~(size_t)(FS_BLOCK - 1);
    if (nlanes == FS_VITERBI_LANES)
        blocks_avx512(lanes, 0, FS_VITERBI_LANES, whole);
    else
        for (uint32_t l = 0; l < nlanes; l++)
            blocks_avx512(lanes, l, 1, whole);
    fs_viterbi_forward_rest(lanes, nlanes, whole, nsteps);
}

FS_TARGET_AVX2 void fs_viterbi_back_avx2(fs_traces *traces, size_t nsteps, size_t first,
                                         size_t nwords)
{
    fs_trace(traces, nsteps, first, nwords);
}

FS_TARGET_SSSE3 uint32_t fs_viterbi_compare_ssse3(const uint8_t *pairs, uint64_t bits)
{
    uint64_t c1 = bits >> 6 ^ bits >> 5 ^ bits >> 4 ^ bits >> 3 ^ bits;
    uint64_t c2 = bits >> 6 ^ bits >> 4 ^ bits >> 3 ^ bits >> 1 ^ bits;
    uint64_t sent = fs_spread(c1 & 0xFFFFFFFF) | fs_spread(c2 & 0xFFFFFFFF) << 1;
    uint64_t ones = 0, gone = 0;
    for (int i = 48; i >= 0; i -= 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(pairs + i));
        ones = ones << 16 | (uint32_t)_mm_movemask_epi8(x);
        gone = gone << 16 | (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8((char)128)));
    }
    uint64_t wrong = (ones ^ sent) & ~gone;
    return (uint32_t)(__builtin_popcountll(~gone) << 8 | __builtin_popcountll(wrong));
}

/* The symbols of 32 bits, C1 in even places. */
static FS_TARGET_AVX2 inline uint64_t encoded(uint64_t bits)
{
    uint64_t c1 = bits >> 6 ^ bits >> 5 ^ bits >> 4 ^ bits >> 3 ^ bits;
    uint64_t c2 = bits >> 6 ^ bits >> 4 ^ bits >> 3 ^ bits >> 1 ^ bits;
    return _pdep_u64(c1, 0x5555555555555555) | _pdep_u64(c2, 0xAAAAAAAAAAAAAAAA);
}

FS_TARGET_AVX2 uint32_t fs_viterbi_compare_avx2(const uint8_t *pairs, uint64_t bits)
{
    __m256i x = _mm256_loadu_si256((const __m256i *)pairs);
    __m256i y = _mm256_loadu_si256((const __m256i *)(pairs + 32));
    __m256i erased = _mm256_set1_epi8((char)128);
    uint64_t ones = (uint32_t)_mm256_movemask_epi8(x);
    ones |= (uint64_t)(uint32_t)_mm256_movemask_epi8(y) << 32;
    uint64_t gone = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(x, erased));
    gone |= (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(y, erased)) << 32;
    uint64_t wrong = (ones ^ encoded(bits)) & ~gone;
    return (uint32_t)(__builtin_popcountll(~gone) << 8 | __builtin_popcountll(wrong));
}

FS_TARGET_AVX512 uint32_t fs_viterbi_compare_avx512(const uint8_t *pairs, uint64_t bits)
{
    __m512i x = _mm512_loadu_si512(pairs);
    uint64_t known = _mm512_cmpneq_epi8_mask(x, _mm512_set1_epi8((char)128));
    uint64_t wrong = (_mm512_movepi8_mask(x) ^ encoded(bits)) & known;
    return (uint32_t)(__builtin_popcountll(known) << 8 | __builtin_popcountll(wrong));
}

#endif
