/* What the kernels of the marker search share; not for users. */
#ifndef FLATSAT_SYNC_KERNELS_H
#define FLATSAT_SYNC_KERNELS_H

#include "sync.h"
#include "tier.h"

#include <string.h>

/* A search under way. A kernel looks at places from `at` on, as many as it can without reading
 * behind the buffer, notes the hits in order, and moves `at`; another kernel does the rest. */
typedef struct {
    const uint8_t *buf;
    size_t nbytes;
    uint64_t at, end; /* places to look at: end is behind the last one where a marker fits */
    uint64_t marker;  /* its first bit is the most significant one */
    uint32_t nbits, max_wrong, step, inverted;
    fs_marker_hit *hits;
    size_t capacity, count;
} fs_marker_scan;

typedef void fs_marker_scan_fn(fs_marker_scan *);

/* The 64 bits from `bit` on, most significant first; what lies behind the buffer is zero. */
static inline uint64_t fs_bits_at(const uint8_t *buf, size_t nbytes, uint64_t bit)
{
    size_t at = (size_t)(bit >> 3), n = nbytes - at;
    uint64_t high = 0;
    if (n >= 8) {
        memcpy(&high, buf + at, 8);
        high = __builtin_bswap64(high);
    } else {
        for (size_t i = 0; i < n; i++)
            high |= (uint64_t)buf[at + i] << (56 - 8 * i);
    }
    uint32_t r = bit & 7;
    return r ? high << r | (n > 8 ? buf[at + 8] >> (8 - r) : 0) : high;
}

/* Population count in arithmetic: the instruction is not in every baseline. */
static inline uint32_t fs_count_ones(uint64_t x)
{
    x -= x >> 1 & 0x5555555555555555;
    x = (x & 0x3333333333333333) + (x >> 2 & 0x3333333333333333);
    x = (x + (x >> 4)) & 0x0F0F0F0F0F0F0F0F;
    return (uint32_t)((x * 0x0101010101010101) >> 56);
}

/* Look at one place that `s` may look at, and note it if the marker stands there. Returns 0 if there
 * is no room left; `at` is then the place behind. */
static inline int fs_marker_try(fs_marker_scan *s, uint64_t bit)
{
    uint64_t differ = (fs_bits_at(s->buf, s->nbytes, bit) ^ s->marker) >> (64 - s->nbits);
    uint32_t wrong = fs_count_ones(differ), turned = 0;
    if (wrong > s->max_wrong && s->inverted && s->nbits - wrong <= s->max_wrong) {
        wrong = s->nbits - wrong;
        turned = 1;
    }
    if (wrong > s->max_wrong)
        return 1;
    s->hits[s->count++] =
        (fs_marker_hit){.bit = bit, .wrong = (uint8_t)wrong, .inverted = (uint8_t)turned};
    if (s->count < s->capacity)
        return 1;
    s->at = bit + 1;
    return 0;
}

/* Look at the places that a mask of 64 names, its most significant bit first; 0 as above. */
static inline int fs_marker_try_mask(fs_marker_scan *s, uint64_t bit, uint64_t mask)
{
    while (mask) {
        uint32_t z = (uint32_t)__builtin_clzll(mask);
        mask &= ~(0x8000000000000000 >> z);
        if (bit + z >= s->at && bit + z < s->end && !fs_marker_try(s, bit + z))
            return 0;
    }
    return 1;
}

#if defined(FS_X86)
fs_marker_scan_fn fs_marker_128_run, fs_marker_256_run, fs_marker_512_run;
fs_marker_scan_fn fs_marker_octets_avx2, fs_marker_octets_avx512;
#elif defined(FS_ARM)
fs_marker_scan_fn fs_marker_neon_run, fs_marker_octets_neon;
#endif

#endif
