/* CRCs by folding with a carry-less multiplier (Gopal et al., Fast CRC Computation for Generic
 * Polynomials Using PCLMULQDQ Instruction, Intel 2009), without table, tail loop or over-read.
 *
 * A message M of n octets is a polynomial over GF(2), its first bit the term of highest degree; its
 * CRC is M * x^32 mod P. Only the remainder counts, so 128 bits A = (early, late) that stand D bits
 * before others are moved onto those:
 *
 *     A * x^D = early * x^(D + 64) + late * x^D
 *             = early * (x^(D + 64) mod P) + late * (x^D mod P)      modulo P, 96 bits wide
 *
 * - Leading zeros change nothing. So the octets that do not fill two registers stand at the head of
 *   the message, at the right end of the first two, and all that follow are whole. Two registers
 *   keep the multiplier busy, and their number of rounds is the only thing that the branch
 *   predictor can get wrong; four take over where a message is long.
 * - The start value is exclusive-ored into the first four octets. Those of it that lie behind the
 *   head are the `spill`: they go into the register that follows.
 * - At the end each quadword is multiplied by its own weight, x^(its distance from the end + 32);
 *   their sum is 96 bits wide. Its upper 32 bits times x^64 make it 64: c.
 * - Barrett: with mu = floor(x^64 / P), q = floor(floor(c / x^32) * mu / x^32) is floor(c / P), and
 *   c - q * P is the remainder.
 *
 * csrc/coding/tables/make_crc.py makes the constants and says how a CRC-16 and a mirrored CRC fit in. */
#ifndef FLATSAT_CRC_FOLD_H
#define FLATSAT_CRC_FOLD_H

#include "crc_kernels.h"

/* Pairs are (late, early), in the order of the halves of a register. */
typedef struct {
    uint64_t by256[2], by512[2], by1024[2], by2048[2];
    uint64_t weight[16]; /* for 1024 bits: x^32 in [14], x^96 in [15], x^160 in [12], ... */
    uint64_t x64;
    uint64_t mu[2]; /* mu, P */
} fs_crc_fold;

/* Bit matrices that multiply a CRC-16, as two octets, by a power of x. */
typedef struct {
    uint64_t low_to_low, low_to_high, high_to_low, high_to_high;
} fs_crc_move;

#include "tables/crc.h"

/* The start value as it lies over the first four octets, read little-endian. */
#define FS_CRC16_AS_OCTETS(init) __builtin_bswap32((uint32_t)(init) << 16)
#define FS_CRC32_USLP_AS_OCTETS(init) __builtin_bswap32(init)
#define FS_CRC32C_AS_OCTETS(init) (~(init))

/* The octets of the start value behind the first `head`. */
static inline uint32_t fs_crc_spill(uint32_t octets, size_t head)
{
    return head < 4 ? octets >> (8 * head) : 0;
}

/* Which octets to take to put the first h of 16 in reverse order to the low end, and zeros
 * elsewhere: 16 indices from FS_CRC_HEAD + 16 - h. */
static const uint8_t FS_CRC_HEAD[32] = {
    15,   14,   13,   12,   11,   10,   9,    8,    7,    6,    5,    4,    3,    2,    1,    0,
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
};

#endif
