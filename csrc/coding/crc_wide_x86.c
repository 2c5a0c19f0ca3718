/* CRCs with 512-bit registers: CRC-32s by VPCLMULQDQ (crc_fold.h), CRC-16 by GFNI, all with heads
 * under a mask and four remainders at once. */
#include "crc_fold.h"

#if defined(FS_X86)

#include <immintrin.h>
#include <string.h>

#define WIDE FS_TARGET_AVX512 static inline __attribute__((always_inline))

/* A start value between zeros: loads from `octets` - 127 to + 191 lay it over the message. */
typedef struct {
    uint8_t before[128], octets[192];
} wide_start;

static const wide_start START_FFFF = {{0}, {0xFF, 0xFF}};

/* The start value in place: a constant where it is the usual one, because reading back what was
 * just written in smaller pieces takes its time. */
WIDE const wide_start *wide_start_set(wide_start *store, uint32_t octets)
{
    if (octets == 0xFFFF)
        return &START_FFFF;
    memset(store, 0, sizeof *store);
    memcpy(store->octets, &octets, 4);
    return store;
}

#define PLACES_8(i) (i), (i) + 1, (i) + 2, (i) + 3, (i) + 4, (i) + 5, (i) + 6, (i) + 7
static const uint8_t PLACES[128] = {
    PLACES_8(0),  PLACES_8(8),  PLACES_8(16), PLACES_8(24),  PLACES_8(32),  PLACES_8(40),
    PLACES_8(48), PLACES_8(56), PLACES_8(64), PLACES_8(72),  PLACES_8(80),  PLACES_8(88),
    PLACES_8(96), PLACES_8(104), PLACES_8(112), PLACES_8(120),
};

/* The octets of a message that do not fill the 128 octets of a and b, at their end, exclusive-or
 * the start value. Masked loads touch nothing of what lies before the buffer. */
WIDE size_t wide_head(const uint8_t *p, size_t nbytes, const wide_start *start, __m512i *a,
                      __m512i *b)
{
    size_t head = ((nbytes - 1) & 127) + 1;
    __m512i absent = _mm512_set1_epi8((char)(128 - head));
    __mmask64 early = _mm512_cmpge_epu8_mask(_mm512_loadu_si512(PLACES), absent);
    __mmask64 late = _mm512_cmpge_epu8_mask(_mm512_loadu_si512(PLACES + 64), absent);
    const uint8_t *value = start->octets + head;
    uintptr_t end = (uintptr_t)p + head;
    *a = _mm512_xor_si512(_mm512_maskz_loadu_epi8(early, (const void *)(end - 128)),
                          _mm512_loadu_si512(value - 128));
    *b = _mm512_xor_si512(_mm512_maskz_loadu_epi8(late, (const void *)(end - 64)),
                          _mm512_loadu_si512(value - 64));
    return head;
}

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

/* Quadwords times their weights, and b. */
WIDE __m512i wide_weigh(__m512i a, __m512i weight, __m512i b)
{
    return _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(a, weight, 0x11),
                                     _mm512_clmulepi64_epi128(a, weight, 0x00), b, 0x96);
}

/* a * x^D + b. */
WIDE __m512i wide_move(__m512i a, const uint64_t *k, __m512i b)
{
    return wide_weigh(a, _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)k)), b);
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

/* nbytes >= 4 octets folded into 512 bits, weighted. */
WIDE __m512i wide_octets(const fs_crc_fold *k, const uint8_t *p, size_t nbytes,
                         const wide_start *start, int mirrored)
{
    __m512i a, b;
    size_t head = wide_head(p, nbytes, start, &a, &b);
    a = wide_turn(a, mirrored);
    b = wide_turn(b, mirrored);
    p += head;
    nbytes -= head;
    if (nbytes) {
        __m512i spill = wide_load(start->octets + head, mirrored);
        size_t taken = 128;
        if (nbytes >= WIDE_LONG) {
            taken = wide_long(k, &a, &b, p, nbytes, spill, mirrored);
        } else {
            a = wide_move(a, k->by1024, _mm512_xor_si512(wide_load(p, mirrored), spill));
            b = wide_move(b, k->by1024, wide_load(p + 64, mirrored));
        }
        for (p += taken, nbytes -= taken; nbytes; p += 128, nbytes -= 128) {
            a = wide_move(a, k->by1024, wide_load(p, mirrored));
            b = wide_move(b, k->by1024, wide_load(p + 64, mirrored));
        }
    }
    a = wide_weigh(a, _mm512_loadu_si512(k->weight), _mm512_setzero_si512());
    return wide_weigh(b, _mm512_loadu_si512(k->weight + 8), a);
}

/* CRC-16 moves octets instead: each of 64 lanes has a remainder of its own, two octets, and
 * GF2P8AFFINEQB multiplies by a matrix of 8 x 8 bits, so four of those multiply a remainder by any
 * power of x. That is half the time of two carry-less multiplications, and octets need no turning.
 * A remainder's high octet weighs x^8 more than the octet of the message in the same lane. */
typedef struct {
    __m512i low, high;
} lanes;

WIDE lanes lanes_move(lanes a, const fs_crc_move *k, lanes b)
{
    __m512i ll = _mm512_set1_epi64((long long)k->low_to_low);
    __m512i lh = _mm512_set1_epi64((long long)k->low_to_high);
    __m512i hl = _mm512_set1_epi64((long long)k->high_to_low);
    __m512i hh = _mm512_set1_epi64((long long)k->high_to_high);
    return (lanes){
        _mm512_ternarylogic_epi64(_mm512_gf2p8affine_epi64_epi8(a.low, ll, 0),
                                  _mm512_gf2p8affine_epi64_epi8(a.high, hl, 0), b.low, 0x96),
        _mm512_ternarylogic_epi64(_mm512_gf2p8affine_epi64_epi8(a.low, lh, 0),
                                  _mm512_gf2p8affine_epi64_epi8(a.high, hh, 0), b.high, 0x96),
    };
}

WIDE lanes lanes_load(const uint8_t *p)
{
    return (lanes){_mm512_loadu_si512(p), _mm512_setzero_si512()};
}

/* As wide_long. */
WIDE size_t lanes_long(lanes *a, lanes *b, const uint8_t *p, size_t nbytes, __m512i spill)
{
    lanes c = lanes_move(*a, &FS_CRC16_MOVE_2048, lanes_load(p + 128));
    lanes d = lanes_move(*b, &FS_CRC16_MOVE_2048, lanes_load(p + 192));
    lanes e = lanes_load(p), f = lanes_load(p + 64);
    e.low = _mm512_xor_si512(e.low, spill);
    size_t i = 256;
    for (; i + 256 <= nbytes; i += 256) {
        e = lanes_move(e, &FS_CRC16_MOVE_2048, lanes_load(p + i));
        f = lanes_move(f, &FS_CRC16_MOVE_2048, lanes_load(p + i + 64));
        c = lanes_move(c, &FS_CRC16_MOVE_2048, lanes_load(p + i + 128));
        d = lanes_move(d, &FS_CRC16_MOVE_2048, lanes_load(p + i + 192));
    }
    *a = lanes_move(e, &FS_CRC16_MOVE_1024, c);
    *b = lanes_move(f, &FS_CRC16_MOVE_1024, d);
    return i;
}

/* As wide_octets. */
WIDE __m512i lanes_octets(const uint8_t *p, size_t nbytes, const wide_start *start)
{
    const __m512i zero = _mm512_setzero_si512();
    lanes a = {zero, zero}, b = {zero, zero};
    size_t head = wide_head(p, nbytes, start, &a.low, &b.low);
    p += head;
    nbytes -= head;
    if (!nbytes) {
        a.low = wide_weigh(wide_turn(a.low, 0), _mm512_loadu_si512(FS_FOLD_CRC16.weight), zero);
        return wide_weigh(wide_turn(b.low, 0), _mm512_loadu_si512(FS_FOLD_CRC16.weight + 8), a.low);
    }
    __m512i spill = _mm512_loadu_si512(start->octets + head);
    size_t taken = 128;
    if (nbytes >= WIDE_LONG) {
        taken = lanes_long(&a, &b, p, nbytes, spill);
    } else {
        a = lanes_move(a, &FS_CRC16_MOVE_1024, lanes_load(p));
        a.low = _mm512_xor_si512(a.low, spill);
        b = lanes_move(b, &FS_CRC16_MOVE_1024, lanes_load(p + 64));
    }
    for (p += taken, nbytes -= taken; nbytes; p += 128, nbytes -= 128) {
        a = lanes_move(a, &FS_CRC16_MOVE_1024, lanes_load(p));
        b = lanes_move(b, &FS_CRC16_MOVE_1024, lanes_load(p + 64));
    }
    b = lanes_move(a, &FS_CRC16_MOVE_512, b);
    __m512i high = wide_weigh(wide_turn(b.high, 0), _mm512_loadu_si512(FS_CRC16_HIGH_WEIGHT), zero);
    return wide_weigh(wide_turn(b.low, 0), _mm512_loadu_si512(FS_FOLD_CRC16.weight + 8), high);
}

/* Lanes 0 ^ 2 and 1 ^ 3 of a, then of b. */
WIDE __m512i wide_halve(__m512i a, __m512i b)
{
    return _mm512_xor_si512(_mm512_shuffle_i64x2(a, b, 0x44), _mm512_shuffle_i64x2(a, b, 0xEE));
}

/* The remainders of four sums of weighted quadwords, one behind the other. */
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
    const __m512i each = _mm512_castsi128_si512(_mm_set_epi32(12, 8, 4, 0));
    return _mm512_castsi512_si128(_mm512_permutexvar_epi32(each, _mm512_xor_si512(r, c)));
}

WIDE __m128i wide_reduce_one(const fs_crc_fold *k, __m512i sum)
{
    const __m512i sums[4] = {sum, sum, sum, sum};
    return wide_reduce(k, sums);
}

/* Each register mirrored and complemented. */
WIDE __m128i wide_mirror_and_complement(__m128i r)
{
    const __m128i mirror = _mm_set1_epi64x((long long)0x8040201008040201);
    const __m128i turn = _mm_set_epi64x(0x0C0D0E0F08090A0B, 0x0405060700010203);
    return _mm_gf2p8affine_epi64_epi8(_mm_shuffle_epi8(r, turn), mirror, 0xFF);
}

/* A CRC and its batch, which is unrolled by hand: a loop would put the sums into memory. `fold`
 * makes a weighted sum of `p`, `n` and `start`; `finish` takes four remainders r to results;
 * `small` serves what is shorter than `least`, which is at least 4. */
#define WIDE_CRC(type, name, batch, k, as_octets, least, small, fold, finish, store)               \
    FS_TARGET_AVX512 type name(const uint8_t *p, size_t n, type init)                              \
    {                                                                                              \
        if (n < least)                                                                             \
            return small(p, n, init);                                                              \
        wide_start storage;                                                                        \
        const wide_start *start = wide_start_set(&storage, as_octets(init));                       \
        __m128i r = wide_reduce_one(&k, fold);                                                     \
        return (type)_mm_cvtsi128_si32(finish);                                                    \
    }                                                                                              \
                                                                                                   \
    FS_TARGET_AVX512 int batch(FS_CRC_PARTS(type))                                                 \
    {                                                                                              \
        if (!fs_crc_parts_inside(nbytes, offsets, lengths, count))                                 \
            return 0;                                                                              \
        wide_start storage;                                                                        \
        const wide_start *start = wide_start_set(&storage, as_octets(init));                       \
        size_t i = 0;                                                                              \
        for (; i + 4 <= count; i += 4) {                                                           \
            __m128i four = _mm_loadu_si128((const __m128i *)(lengths + i));                        \
            if (_mm_cmplt_epu32_mask(four, _mm_set1_epi32(4))) {                                   \
                for (int j = 0; j < 4; j++)                                                        \
                    out[i + j] = name(buf + offsets[i + j], lengths[i + j], init);                 \
                continue;                                                                          \
            }                                                                                      \
            __m512i sum[4];                                                                        \
            const uint8_t *p = buf + offsets[i];                                                   \
            size_t n = lengths[i];                                                                 \
            sum[0] = fold;                                                                         \
            p = buf + offsets[i + 1];                                                              \
            n = lengths[i + 1];                                                                    \
            sum[1] = fold;                                                                         \
            p = buf + offsets[i + 2];                                                              \
            n = lengths[i + 2];                                                                    \
            sum[2] = fold;                                                                         \
            p = buf + offsets[i + 3];                                                              \
            n = lengths[i + 3];                                                                    \
            sum[3] = fold;                                                                         \
            __m128i r = wide_reduce(&k, sum);                                                      \
            store((__m128i *)(out + i), finish);                                                   \
        }                                                                                          \
        for (; i < count; i++)                                                                     \
            out[i] = name(buf + offsets[i], lengths[i], init);                                     \
        return 1;                                                                                  \
    }

WIDE_CRC(uint16_t, fs_crc16_avx512, fs_crc16_batch_avx512, FS_FOLD_CRC16, FS_CRC16_AS_OCTETS, 4,
         fs_crc16_portable, lanes_octets(p, n, start), _mm_cvtepi32_epi16(_mm_srli_epi32(r, 16)),
         _mm_storel_epi64)
WIDE_CRC(uint32_t, fs_crc32_uslp_avx512, fs_crc32_uslp_batch_avx512, FS_FOLD_CRC32_USLP,
         FS_CRC32_USLP_AS_OCTETS, 4, fs_crc32_uslp_portable,
         wide_octets(&FS_FOLD_CRC32_USLP, p, n, start, 0), r, _mm_storeu_si128)
/* One short part alone is sooner done by the instruction than multiplied at the end. */
WIDE_CRC(uint32_t, fs_crc32c_avx512, fs_crc32c_batch_avx512, FS_FOLD_CRC32C, FS_CRC32C_AS_OCTETS,
         256, fs_crc32c_avx2, wide_octets(&FS_FOLD_CRC32C, p, n, start, 1),
         wide_mirror_and_complement(r), _mm_storeu_si128)

#endif
