/* CRCs by PCLMULQDQ, and by VPCLMULQDQ with masked heads (crc_fold.h explains both). */
#include "crc_fold.h"

#if defined(FS_X86)

#include <immintrin.h>
#include <string.h>

#define FOLD_TARGET FS_TARGET_AVX2
typedef __m128i v128;

FOLD_TARGET static inline v128 fold_raw(const uint8_t *p, uint32_t octets)
{
    return _mm_xor_si128(_mm_loadu_si128((const v128 *)p), _mm_cvtsi32_si128((int)octets));
}

/* The CRC of mirrored octets has an instruction of its own, see below. */
FOLD_TARGET static inline v128 fold_head(const uint8_t *p, uint32_t octets, size_t head,
                                         int mirrored)
{
    (void)mirrored;
    v128 places = _mm_loadu_si128((const v128 *)(FS_CRC_HEAD + 16 - head));
    return _mm_shuffle_epi8(fold_raw(p, octets), places);
}

FOLD_TARGET static inline v128 fold_load(const uint8_t *p, uint32_t octets, int mirrored)
{
    (void)mirrored;
    return _mm_shuffle_epi8(fold_raw(p, octets), _mm_loadu_si128((const v128 *)FS_CRC_HEAD));
}

FOLD_TARGET static inline v128 fold_xor(v128 a, v128 b)
{
    return _mm_xor_si128(a, b);
}

FOLD_TARGET static inline v128 fold_move(v128 a, const uint64_t *k)
{
    v128 by = _mm_loadu_si128((const v128 *)k);
    return _mm_xor_si128(_mm_clmulepi64_si128(a, by, 0x11), _mm_clmulepi64_si128(a, by, 0x00));
}

/* A sum of weighted quadwords, 96 bits, to the remainder. */
FOLD_TARGET static inline uint32_t fold_reduce(const fs_crc_fold *k, v128 sum)
{
    v128 x64 = _mm_cvtsi64_si128((long long)k->x64);
    v128 mu = _mm_loadu_si128((const v128 *)k->mu);
    v128 c = _mm_xor_si128(_mm_clmulepi64_si128(sum, x64, 0x01), sum);
    v128 q = _mm_srli_epi64(_mm_clmulepi64_si128(_mm_srli_epi64(c, 32), mu, 0x00), 32);
    return (uint32_t)_mm_cvtsi128_si32(_mm_xor_si128(_mm_clmulepi64_si128(q, mu, 0x10), c));
}

#include "crc_fold128.h"

FS_TARGET_AVX2 uint16_t fs_crc16_avx2(const uint8_t *buf, size_t nbytes, uint16_t init)
{
    if (nbytes < 16)
        return fs_crc16_portable(buf, nbytes, init);
    return (uint16_t)(fold_octets(&FS_FOLD_CRC16, buf, nbytes, FS_CRC16_AS_OCTETS(init), 0) >> 16);
}

FS_TARGET_AVX2 uint32_t fs_crc32_uslp_avx2(const uint8_t *buf, size_t nbytes, uint32_t init)
{
    if (nbytes < 16)
        return fs_crc32_uslp_portable(buf, nbytes, init);
    return fold_octets(&FS_FOLD_CRC32_USLP, buf, nbytes, FS_CRC32_USLP_AS_OCTETS(init), 0);
}

FS_CRC_BATCH(FS_TARGET_AVX2, uint16_t, fs_crc16_batch_avx2, fs_crc16_avx2)
FS_CRC_BATCH(FS_TARGET_AVX2, uint32_t, fs_crc32_uslp_batch_avx2, fs_crc32_uslp_avx2)

/* CRC-32C has an instruction: 8 octets each cycle, the result three cycles later. So three streams
 * of `nbytes` octets run side by side and are put together: the product of two mirrored polynomials
 * of 32 bits, read as one of 64, is one too high by a factor of x, and the instruction multiplies by
 * x^32. Hence k = x^(8 * distance - 33) moves a register over that distance. */

FS_TARGET_AVX2 static inline uint64_t eight_octets(uint64_t r, const uint8_t *p)
{
    uint64_t octets;
    memcpy(&octets, p, 8);
    return _mm_crc32_u64(r, octets);
}

FS_TARGET_AVX2 static inline uint64_t three_streams(uint64_t r, const uint8_t *p, size_t nbytes,
                                                    const uint64_t *k)
{
    uint64_t s = 0, t = 0;
    for (size_t i = 0; i < nbytes; i += 8) {
        r = eight_octets(r, p + i);
        s = eight_octets(s, p + nbytes + i);
        t = eight_octets(t, p + 2 * nbytes + i);
    }
    __m128i by = _mm_loadu_si128((const __m128i *)k);
    __m128i far = _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)r), by, 0x00);
    __m128i near = _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)s), by, 0x10);
    return t ^ _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(_mm_xor_si128(far, near)));
}

FS_TARGET_AVX2 uint32_t fs_crc32c_avx2(const uint8_t *buf, size_t nbytes, uint32_t init)
{
    uint64_t r = (uint32_t)~init;
    for (; nbytes >= 3 * 1024; buf += 3 * 1024, nbytes -= 3 * 1024)
        r = three_streams(r, buf, 1024, FS_CRC32C_1024);
    for (; nbytes >= 3 * 128; buf += 3 * 128, nbytes -= 3 * 128)
        r = three_streams(r, buf, 128, FS_CRC32C_128);
    for (; nbytes >= 8; buf += 8, nbytes -= 8)
        r = eight_octets(r, buf);
    for (; nbytes; buf++, nbytes--)
        r = _mm_crc32_u8((uint32_t)r, *buf);
    return ~(uint32_t)r;
}

FS_CRC_BATCH(FS_TARGET_AVX2, uint32_t, fs_crc32c_batch_avx2, fs_crc32c_avx2)

/* 512 bits at a time: four lanes of 16 octets, each with its most significant octet first. */

#define WIDE FS_TARGET_AVX512 static inline __attribute__((always_inline))

/* Lanes in order, the octets of each reversed; mirrored ones also bit by bit, by the matrix of the
 * map that takes bit i to bit 7 - i. */
WIDE __m512i wide_turn(__m512i raw, int mirrored)
{
    const __m128i reverse = _mm_set_epi64x(0x0001020304050607, 0x08090A0B0C0D0E0F);
    __m512i turned = _mm512_shuffle_epi8(raw, _mm512_broadcast_i32x4(reverse));
    const __m512i mirror = _mm512_set1_epi64((long long)0x8040201008040201);
    return mirrored ? _mm512_gf2p8affine_epi64_epi8(turned, mirror, 0) : turned;
}

WIDE __m512i wide_load(const uint8_t *p, int mirrored)
{
    return wide_turn(_mm512_loadu_si512(p), mirrored);
}

/* a * x^D + b. */
WIDE __m512i wide_move(__m512i a, const uint64_t *k, __m512i b)
{
    __m512i by = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)k));
    __m512i early = _mm512_clmulepi64_epi128(a, by, 0x11);
    return _mm512_ternarylogic_epi64(early, _mm512_clmulepi64_epi128(a, by, 0x00), b, 0x96);
}

/* From this many octets behind the head on, four registers. */
enum { WIDE_LONG = 2048 };

/* nbytes >= WIDE_LONG octets behind a and b, which are folded onto the last of them. Returns the
 * octets taken. */
WIDE size_t wide_long(const fs_crc_fold *k, __m512i *a, __m512i *b, const uint8_t *p, size_t nbytes,
                      __m512i spill, int mirrored)
{
    __m512i c = wide_move(*a, k->by2048, wide_load(p + 128, mirrored));
    __m512i d = wide_move(*b, k->by2048, wide_load(p + 192, mirrored));
    __m512i e = _mm512_xor_si512(wide_load(p, mirrored), spill), f = wide_load(p + 64, mirrored);
    size_t i = 256;
    for (; i + 256 <= nbytes; i += 256) {
        e = wide_move(e, k->by2048, wide_load(p + i, mirrored));
        f = wide_move(f, k->by2048, wide_load(p + i + 64, mirrored));
        c = wide_move(c, k->by2048, wide_load(p + i + 128, mirrored));
        d = wide_move(d, k->by2048, wide_load(p + i + 192, mirrored));
    }
    *a = wide_move(e, k->by1024, c);
    *b = wide_move(f, k->by1024, d);
    return i;
}

/* A start value between zeros: loads from `octets` - 127 to + 191 lay it over the message. */
typedef struct {
    uint8_t before[128], octets[192];
} wide_start;

static const wide_start START_FFFF = {{0}, {0xFF, 0xFF}};

WIDE void wide_start_set(wide_start *start, uint32_t octets)
{
    memset(start, 0, sizeof *start);
    memcpy(start->octets, &octets, 4);
}

/* nbytes >= 4 octets folded into 512 bits, weighted. The head comes by loads under a mask, which
 * touch nothing of what lies before the buffer. */
WIDE __m512i wide_octets(const fs_crc_fold *k, const uint8_t *p, size_t nbytes,
                         const wide_start *start, int mirrored)
{
    size_t head = ((nbytes - 1) & 127) + 1, none = head < 64 ? 64 - head : 0;
    const uint8_t *at = start->octets + head;
    uintptr_t behind = (uintptr_t)p + head;
    __m512i a = _mm512_maskz_loadu_epi8(~_bzhi_u64(~0ull, (uint32_t)(128 - head)), (void *)(behind - 128));
    __m512i b = _mm512_maskz_loadu_epi8(~0ull << none, (void *)(behind - 64));
    a = wide_turn(_mm512_xor_si512(a, _mm512_loadu_si512(at - 128)), mirrored);
    b = wide_turn(_mm512_xor_si512(b, _mm512_loadu_si512(at - 64)), mirrored);
    p += head;
    nbytes -= head;
    if (nbytes) {
        __m512i spill = wide_load(at, mirrored);
        if (nbytes >= WIDE_LONG) {
            size_t taken = wide_long(k, &a, &b, p, nbytes, spill, mirrored);
            p += taken;
            nbytes -= taken;
        } else {
            a = wide_move(a, k->by1024, _mm512_xor_si512(wide_load(p, mirrored), spill));
            b = wide_move(b, k->by1024, wide_load(p + 64, mirrored));
            p += 128;
            nbytes -= 128;
        }
        for (; nbytes; p += 128, nbytes -= 128) {
            a = wide_move(a, k->by1024, wide_load(p, mirrored));
            b = wide_move(b, k->by1024, wide_load(p + 64, mirrored));
        }
    }
    __m512i far = _mm512_loadu_si512(k->weight), near = _mm512_loadu_si512(k->weight + 8);
    a = _mm512_xor_si512(_mm512_clmulepi64_epi128(a, far, 0x11),
                         _mm512_clmulepi64_epi128(a, far, 0x00));
    return _mm512_ternarylogic_epi64(a, _mm512_clmulepi64_epi128(b, near, 0x11),
                                     _mm512_clmulepi64_epi128(b, near, 0x00), 0x96);
}

/* The sum of all weighted quadwords, 96 bits. */
WIDE __m128i wide_sum(__m512i a)
{
    __m256i half = _mm256_xor_si256(_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64(a, 1));
    return _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

/* Lanes 0 ^ 2 and 1 ^ 3 of a, then of b. */
WIDE __m512i wide_halve(__m512i a, __m512i b)
{
    return _mm512_xor_si512(_mm512_shuffle_i64x2(a, b, 0x44), _mm512_shuffle_i64x2(a, b, 0xEE));
}

/* The remainders of four messages at once, one behind the other. */
WIDE __m128i wide_reduce(const fs_crc_fold *k, const __m512i sum[4])
{
    __m512i early = wide_halve(sum[0], sum[1]), late = wide_halve(sum[2], sum[3]);
    __m512i sums = _mm512_xor_si512(_mm512_shuffle_i64x2(early, late, 0x88),
                                    _mm512_shuffle_i64x2(early, late, 0xDD));
    __m512i x64 = _mm512_set1_epi64((long long)k->x64);
    __m512i mu = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)k->mu));
    __m512i c = _mm512_xor_si512(_mm512_clmulepi64_epi128(sums, x64, 0x01), sums);
    __m512i q = _mm512_clmulepi64_epi128(_mm512_srli_epi64(c, 32), mu, 0x00);
    __m512i r = _mm512_clmulepi64_epi128(_mm512_srli_epi64(q, 32), mu, 0x10);
    const __m512i lanes = _mm512_castsi128_si512(_mm_set_epi32(12, 8, 4, 0));
    return _mm512_castsi512_si128(_mm512_permutexvar_epi32(lanes, _mm512_xor_si512(r, c)));
}

WIDE uint32_t wide_one(const fs_crc_fold *k, const uint8_t *p, size_t nbytes, uint32_t octets,
                       int mirrored)
{
    wide_start store;
    const wide_start *start = &START_FFFF;
    if (octets != 0xFFFF) {
        wide_start_set(&store, octets);
        start = &store;
    }
    return fold_reduce(k, wide_sum(wide_octets(k, p, nbytes, start, mirrored)));
}

/* Each register mirrored and complemented. */
WIDE __m128i wide_mirror_and_complement(__m128i r)
{
    const __m128i mirror = _mm_set1_epi64x((long long)0x8040201008040201);
    const __m128i turn = _mm_set_epi64x(0x0C0D0E0F08090A0B, 0x0405060700010203);
    return _mm_gf2p8affine_epi64_epi8(_mm_shuffle_epi8(r, turn), mirror, 0xFF);
}

FS_TARGET_AVX512 uint16_t fs_crc16_avx512(const uint8_t *buf, size_t nbytes, uint16_t init)
{
    if (nbytes < 4)
        return fs_crc16_portable(buf, nbytes, init);
    return (uint16_t)(wide_one(&FS_FOLD_CRC16, buf, nbytes, FS_CRC16_AS_OCTETS(init), 0) >> 16);
}

FS_TARGET_AVX512 uint32_t fs_crc32_uslp_avx512(const uint8_t *buf, size_t nbytes, uint32_t init)
{
    if (nbytes < 4)
        return fs_crc32_uslp_portable(buf, nbytes, init);
    return wide_one(&FS_FOLD_CRC32_USLP, buf, nbytes, FS_CRC32_USLP_AS_OCTETS(init), 0);
}

FS_TARGET_AVX512 uint32_t fs_crc32c_avx512(const uint8_t *buf, size_t nbytes, uint32_t init)
{
    if (nbytes < 256) /* too short for the multiplications at the end to pay */
        return fs_crc32c_avx2(buf, nbytes, init);
    uint32_t r = wide_one(&FS_FOLD_CRC32C, buf, nbytes, FS_CRC32C_AS_OCTETS(init), 1);
    return (uint32_t)_mm_cvtsi128_si32(wide_mirror_and_complement(_mm_cvtsi32_si128((int)r)));
}

#define WIDE_BATCH(type, name, one, fold, as_octets, mirrored, finish)                             \
    FS_TARGET_AVX512 int name(FS_CRC_PARTS(type))                                                  \
    {                                                                                              \
        if (!fs_crc_parts_inside(nbytes, offsets, lengths, count))                                 \
            return 0;                                                                              \
        wide_start start;                                                                          \
        wide_start_set(&start, as_octets(init));                                                   \
        size_t i = 0;                                                                              \
        for (; i + 4 <= count; i += 4) {                                                           \
            __m128i n = _mm_loadu_si128((const __m128i *)(lengths + i));                           \
            if (_mm_cmplt_epu32_mask(n, _mm_set1_epi32(4))) {                                      \
                for (int j = 0; j < 4; j++)                                                        \
                    out[i + j] = one(buf + offsets[i + j], lengths[i + j], init);                  \
                continue;                                                                          \
            }                                                                                      \
            __m512i sum[4];                                                                        \
            for (int j = 0; j < 4; j++)                                                            \
                sum[j] = wide_octets(&fold, buf + offsets[i + j], lengths[i + j], &start, mirrored); \
            __m128i r = wide_reduce(&fold, sum);                                                   \
            finish;                                                                                \
        }                                                                                          \
        for (; i < count; i++)                                                                     \
            out[i] = one(buf + offsets[i], lengths[i], init);                                      \
        return 1;                                                                                  \
    }

WIDE_BATCH(uint16_t, fs_crc16_batch_avx512, fs_crc16_avx512, FS_FOLD_CRC16, FS_CRC16_AS_OCTETS, 0,
           _mm_storel_epi64((__m128i *)(out + i), _mm_cvtepi32_epi16(_mm_srli_epi32(r, 16))))
WIDE_BATCH(uint32_t, fs_crc32_uslp_batch_avx512, fs_crc32_uslp_avx512, FS_FOLD_CRC32_USLP,
           FS_CRC32_USLP_AS_OCTETS, 0, _mm_storeu_si128((__m128i *)(out + i), r))
WIDE_BATCH(uint32_t, fs_crc32c_batch_avx512, fs_crc32c_avx2, FS_FOLD_CRC32C, FS_CRC32C_AS_OCTETS, 1,
           _mm_storeu_si128((__m128i *)(out + i), wide_mirror_and_complement(r)))

#endif
