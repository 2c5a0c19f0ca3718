/* Marker search with NEON: the bit-sliced search 128 places at a time, and markers at octets 64
 * octets at a time. */
#include "flatsat.h"
#include "sync_kernels.h"

#if defined(FS_ARM)

#include <arm_neon.h>

typedef uint64_t word_128 __attribute__((vector_size(16)));

/* Majority is a choice: where a and b differ it is c, else a. */
#define SLICE_LINKAGE
#define SLICE_SHIFT(a, b, r) ((a) << (r) | (b) >> (64 - (r)))
#define SLICE_XOR3(a, b, c) ((a) ^ (b) ^ (c))
#define SLICE_MAJ(a, b, c)                                                                         \
    ((word_128)vbslq_u64((uint64x2_t)((a) ^ (b)), (uint64x2_t)(c), (uint64x2_t)(a)))
#define SLICE_EQUAL(a, b, c) (~(((a) ^ (b)) | ((a) ^ (c))))

static inline word_128 load_128(const uint8_t *p)
{
    return (word_128)vrev64q_u8(vld1q_u8(p));
}

static inline int any_128(word_128 a)
{
    return vmaxvq_u32((uint32x4_t)a) != 0;
}

#define SLICE(name) fs_marker_neon_##name
#define SLICE_TARGET
#define slice_word word_128
#define SLICE_LOAD load_128
#define SLICE_ANY any_128
#include "sync_slice.h"

static inline uint8x16_t pair_at(const uint8_t *p, size_t gap, uint8_t first, uint8_t last)
{
    uint8x16_t x = vceqq_u8(vld1q_u8(p), vdupq_n_u8(first));
    return vandq_u8(x, vceqq_u8(vld1q_u8(p + gap), vdupq_n_u8(last)));
}

void fs_marker_octets_neon(fs_marker_scan *s)
{
    size_t gap = s->nbits / 8 - 1, i = (size_t)((s->at + 7) >> 3);
    uint8_t first = (uint8_t)(s->marker >> 56), last = (uint8_t)(s->marker >> (56 - 8 * gap));
    for (; 8 * (uint64_t)i < s->end && i + gap + 64 <= s->nbytes; i += 64) {
        uint8x16_t found[4];
        for (int j = 0; j < 4; j++) {
            const uint8_t *p = s->buf + i + 16 * j;
            found[j] = pair_at(p, gap, first, last);
            if (s->inverted)
                found[j] = vorrq_u8(found[j], pair_at(p, gap, (uint8_t)~first, (uint8_t)~last));
        }
        uint8x16_t any = vorrq_u8(vorrq_u8(found[0], found[1]), vorrq_u8(found[2], found[3]));
        if (__builtin_expect(!vmaxvq_u8(any), 1))
            continue;
        uint8_t places[64];
        for (int j = 0; j < 4; j++)
            vst1q_u8(places + 16 * j, found[j]);
        for (size_t j = 0; j < 64; j++)
            if (places[j] && 8 * (uint64_t)(i + j) < s->end &&
                !fs_marker_try(s, 8 * (uint64_t)(i + j)))
                return;
    }
    if (8 * (uint64_t)i > s->at)
        s->at = 8 * (uint64_t)i;
}

#endif
