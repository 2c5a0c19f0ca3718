/* CRCs by PMULL (crc_fold.h). The mirrored CRC-32C only costs one more instruction a load here, the
 * one that mirrors octets, so it goes the same way as the others. */
#include "crc_fold.h"

#if defined(FS_ARM)

#include <arm_neon.h>

#define FOLD_TARGET FS_TARGET_PMULL
typedef uint8x16_t v128;

FOLD_TARGET static inline v128 fold_xor(v128 a, v128 b)
{
    return veorq_u8(a, b);
}

FOLD_TARGET static inline v128 fold_raw(const uint8_t *p, uint32_t octets)
{
    uint32x4_t start = vsetq_lane_u32(octets, vdupq_n_u32(0), 0);
    return veorq_u8(vld1q_u8(p), vreinterpretq_u8_u32(start));
}

FOLD_TARGET static inline v128 fold_head(const uint8_t *p, uint32_t octets, size_t head,
                                         int mirrored)
{
    v128 raw = fold_raw(p, octets);
    return vqtbl1q_u8(mirrored ? vrbitq_u8(raw) : raw, vld1q_u8(FS_CRC_HEAD + 16 - head));
}

FOLD_TARGET static inline v128 fold_load(const uint8_t *p, uint32_t octets, int mirrored)
{
    v128 raw = fold_raw(p, octets);
    return vqtbl1q_u8(mirrored ? vrbitq_u8(raw) : raw, vld1q_u8(FS_CRC_HEAD));
}

/* The low, or the high, quadwords multiplied. By name, because arm_neon.h of some compilers hides
 * these unless the whole file is compiled for a processor that has them. */
FOLD_TARGET static inline v128 multiply_low(v128 a, v128 b)
{
    v128 product;
    __asm__("pmull %0.1q, %1.1d, %2.1d" : "=w"(product) : "w"(a), "w"(b));
    return product;
}

FOLD_TARGET static inline v128 multiply_high(v128 a, v128 b)
{
    v128 product;
    __asm__("pmull2 %0.1q, %1.2d, %2.2d" : "=w"(product) : "w"(a), "w"(b));
    return product;
}

FOLD_TARGET static inline v128 fold_move(v128 a, const uint64_t *k)
{
    v128 by = vreinterpretq_u8_u64(vld1q_u64(k));
    return veorq_u8(multiply_high(a, by), multiply_low(a, by));
}

FOLD_TARGET static inline v128 upper_words(v128 a)
{
    return vreinterpretq_u8_u64(vshrq_n_u64(vreinterpretq_u64_u8(a), 32));
}

FOLD_TARGET static inline uint32_t fold_reduce(const fs_crc_fold *k, v128 sum)
{
    v128 x64 = vreinterpretq_u8_u64(vdupq_n_u64(k->x64));
    v128 mu = vreinterpretq_u8_u64(vdupq_n_u64(k->mu[0]));
    v128 p = vreinterpretq_u8_u64(vdupq_n_u64(k->mu[1]));
    v128 c = veorq_u8(multiply_high(sum, x64), sum);
    v128 q = upper_words(multiply_low(upper_words(c), mu));
    return vgetq_lane_u32(vreinterpretq_u32_u8(veorq_u8(multiply_low(q, p), c)), 0);
}

#include "crc_fold128.h"

FS_TARGET_PMULL uint16_t fs_crc16_pmull(const uint8_t *buf, size_t nbytes, uint16_t init)
{
    if (nbytes < 16)
        return fs_crc16_portable(buf, nbytes, init);
    return (uint16_t)(fold_octets(&FS_FOLD_CRC16, buf, nbytes, FS_CRC16_AS_OCTETS(init), 0) >> 16);
}

FS_TARGET_PMULL uint32_t fs_crc32_uslp_pmull(const uint8_t *buf, size_t nbytes, uint32_t init)
{
    if (nbytes < 16)
        return fs_crc32_uslp_portable(buf, nbytes, init);
    return fold_octets(&FS_FOLD_CRC32_USLP, buf, nbytes, FS_CRC32_USLP_AS_OCTETS(init), 0);
}

FS_TARGET_PMULL uint32_t fs_crc32c_pmull(const uint8_t *buf, size_t nbytes, uint32_t init)
{
    if (nbytes < 16)
        return fs_crc32c_portable(buf, nbytes, init);
    uint32_t r = fold_octets(&FS_FOLD_CRC32C, buf, nbytes, FS_CRC32C_AS_OCTETS(init), 1);
    uint8x8_t octets = vrbit_u8(vreinterpret_u8_u32(vdup_n_u32(__builtin_bswap32(r))));
    return ~vget_lane_u32(vreinterpret_u32_u8(octets), 0);
}

FS_CRC_BATCH(FS_TARGET_PMULL, uint16_t, fs_crc16_batch_pmull, fs_crc16_pmull)
FS_CRC_BATCH(FS_TARGET_PMULL, uint32_t, fs_crc32_uslp_batch_pmull, fs_crc32_uslp_pmull)
FS_CRC_BATCH(FS_TARGET_PMULL, uint32_t, fs_crc32c_batch_pmull, fs_crc32c_pmull)

#endif
