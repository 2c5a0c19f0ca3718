/* CRC-16 of CCSDS and PUS frames and packets: P = x^16 + x^12 + x^5 + 1, preset to ones, most
 * significant bit first, no final exclusive or.
 *
 * By definition, one bit at a time: r = x * r mod P. An octet at a time, r' = T0[(r >> 8) ^
 * octet] ^ (r << 8), with T0[i] = i * x^16 mod P. Because the map is linear, sixteen octets can
 * be looked up side by side: the octet that stands k octets before the end of the group
 * contributes i * x^(16 + 8k) mod P, and the old register only enters with the first two octets.
 * The sixteen loads do not wait for one another; the octet at a time waits for each. What is left
 * behind whole groups is one shorter group. */
#include "crc_kernels.h"
#include "linear.h"

#define FS_STEP(r) ((((r) << 1) & 0xFFFF) ^ ((((r) >> 15) & 1) * 0x1021))

/* Zk_b = x^(16 + 8k + b) mod P; x^15 stands in front of the chain. */
enum {
    FS_CHAIN_8(Z0_, 0x8000),
    FS_CHAIN_8(Z1_, Z0_7),
    FS_CHAIN_8(Z2_, Z1_7),
    FS_CHAIN_8(Z3_, Z2_7),
    FS_CHAIN_8(Z4_, Z3_7),
    FS_CHAIN_8(Z5_, Z4_7),
    FS_CHAIN_8(Z6_, Z5_7),
    FS_CHAIN_8(Z7_, Z6_7),
    FS_CHAIN_8(Z8_, Z7_7),
    FS_CHAIN_8(Z9_, Z8_7),
    FS_CHAIN_8(Z10_, Z9_7),
    FS_CHAIN_8(Z11_, Z10_7),
    FS_CHAIN_8(Z12_, Z11_7),
    FS_CHAIN_8(Z13_, Z12_7),
    FS_CHAIN_8(Z14_, Z13_7),
    FS_CHAIN_8(Z15_, Z14_7),
};

/* x86 exclusive-ors 32 bits straight from memory, which gains a sixth; others load half as much. */
#if defined(FS_X86)
typedef uint32_t entry;
#else
typedef uint16_t entry;
#endif

static const entry T[16][256] = {
    {FS_LINEAR_256(Z0_)},  {FS_LINEAR_256(Z1_)},  {FS_LINEAR_256(Z2_)},  {FS_LINEAR_256(Z3_)},
    {FS_LINEAR_256(Z4_)},  {FS_LINEAR_256(Z5_)},  {FS_LINEAR_256(Z6_)},  {FS_LINEAR_256(Z7_)},
    {FS_LINEAR_256(Z8_)},  {FS_LINEAR_256(Z9_)},  {FS_LINEAR_256(Z10_)}, {FS_LINEAR_256(Z11_)},
    {FS_LINEAR_256(Z12_)}, {FS_LINEAR_256(Z13_)}, {FS_LINEAR_256(Z14_)}, {FS_LINEAR_256(Z15_)},
};

uint16_t fs_crc16_portable(const uint8_t *buf, size_t nbytes, uint16_t init)
{
    uint32_t r = init;
    for (; nbytes >= 16; buf += 16, nbytes -= 16) {
        uint32_t rest = T[13][buf[2]] ^ T[12][buf[3]] ^ T[11][buf[4]] ^ T[10][buf[5]] ^
                        T[9][buf[6]] ^ T[8][buf[7]] ^ T[7][buf[8]] ^ T[6][buf[9]] ^
                        T[5][buf[10]] ^ T[4][buf[11]] ^ T[3][buf[12]] ^ T[2][buf[13]] ^
                        T[1][buf[14]] ^ T[0][buf[15]];
        r = rest ^ (T[15][buf[0] ^ (r >> 8)] ^ T[14][buf[1] ^ (r & 0xFF)]);
    }
    if (nbytes == 1)
        return (uint16_t)(T[0][buf[0] ^ (r >> 8)] ^ r << 8);
    if (nbytes) {
        r = T[nbytes - 1][buf[0] ^ (r >> 8)] ^ T[nbytes - 2][buf[1] ^ (r & 0xFF)];
        for (size_t i = 2; i < nbytes; i++)
            r ^= T[nbytes - 1 - i][buf[i]];
    }
    return (uint16_t)r;
}

FS_CRC_BATCH(static, uint16_t, batch_portable, fs_crc16_portable)

static fs_crc16_kernel *const CRC[FS_TIERS] =
    FS_KERNELS(fs_crc16_portable, fs_crc16_portable, fs_crc16_avx2, fs_crc16_avx512,
               fs_crc16_portable, fs_crc16_pmull);
static fs_crc16_batch_kernel *const BATCH[FS_TIERS] =
    FS_KERNELS(batch_portable, batch_portable, fs_crc16_batch_avx2, fs_crc16_batch_avx512,
               batch_portable, fs_crc16_batch_pmull);

uint16_t fs_crc16(const uint8_t *buf, size_t nbytes, uint16_t init)
{
    return CRC[fs_tier()](buf, nbytes, init);
}

int64_t fs_crc16_batch(const uint8_t *buf, size_t nbytes, const uint64_t *offsets,
                       const uint32_t *lengths, size_t count, uint16_t init, uint16_t *out)
{
    int inside = BATCH[fs_tier()](buf, nbytes, offsets, lengths, count, init, out);
    return inside ? (int64_t)count : FS_E_SHORT;
}
