/* CRC-32 of USLP and Proximity-1: P = x^32 + x^23 + x^21 + x^11 + x^2 + 1, most significant bit
 * first, preset 0, no final exclusive or.
 *
 * Sixteen octets are looked up side by side as in crc16.c; here the old register enters with the
 * first four of them. */
#include "crc_kernels.h"
#include "linear.h"

#define FS_STEP(r) ((((r) * 2ull) & 0xFFFFFFFF) ^ ((((r) >> 31) & 1ull) * 0x00A00805ull))

/* Zk_b = x^(32 + 8k + b) mod P; x^31 stands in front of the chain. */
enum {
    FS_CHAIN_8(Z0_, 0x80000000),
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

static const uint32_t T[16][256] = {
    {FS_LINEAR_256(Z0_)},  {FS_LINEAR_256(Z1_)},  {FS_LINEAR_256(Z2_)},  {FS_LINEAR_256(Z3_)},
    {FS_LINEAR_256(Z4_)},  {FS_LINEAR_256(Z5_)},  {FS_LINEAR_256(Z6_)},  {FS_LINEAR_256(Z7_)},
    {FS_LINEAR_256(Z8_)},  {FS_LINEAR_256(Z9_)},  {FS_LINEAR_256(Z10_)}, {FS_LINEAR_256(Z11_)},
    {FS_LINEAR_256(Z12_)}, {FS_LINEAR_256(Z13_)}, {FS_LINEAR_256(Z14_)}, {FS_LINEAR_256(Z15_)},
};

uint32_t fs_crc32_uslp_portable(const uint8_t *buf, size_t nbytes, uint32_t init)
{
    uint32_t r = init;
    for (; nbytes >= 16; buf += 16, nbytes -= 16) {
        uint32_t rest = T[11][buf[4]] ^ T[10][buf[5]] ^ T[9][buf[6]] ^ T[8][buf[7]] ^
                        T[7][buf[8]] ^ T[6][buf[9]] ^ T[5][buf[10]] ^ T[4][buf[11]] ^
                        T[3][buf[12]] ^ T[2][buf[13]] ^ T[1][buf[14]] ^ T[0][buf[15]];
        r = rest ^ ((T[15][buf[0] ^ (r >> 24)] ^ T[14][buf[1] ^ (r >> 16 & 0xFF)]) ^
                    (T[13][buf[2] ^ (r >> 8 & 0xFF)] ^ T[12][buf[3] ^ (r & 0xFF)]));
    }
    if (nbytes >= 4) {
        r = (T[nbytes - 1][buf[0] ^ (r >> 24)] ^ T[nbytes - 2][buf[1] ^ (r >> 16 & 0xFF)]) ^
            (T[nbytes - 3][buf[2] ^ (r >> 8 & 0xFF)] ^ T[nbytes - 4][buf[3] ^ (r & 0xFF)]);
        for (size_t i = 4; i < nbytes; i++)
            r ^= T[nbytes - 1 - i][buf[i]];
        nbytes = 0;
    }
    for (; nbytes; buf++, nbytes--)
        r = T[0][*buf ^ (r >> 24)] ^ (r << 8);
    return r;
}

FS_CRC_BATCH(static, uint32_t, batch_portable, fs_crc32_uslp_portable)

static fs_crc32_kernel *const CRC[FS_TIERS] =
    FS_KERNELS(fs_crc32_uslp_portable, fs_crc32_uslp_portable, fs_crc32_uslp_avx2,
               fs_crc32_uslp_avx512, fs_crc32_uslp_portable, fs_crc32_uslp_pmull);
static fs_crc32_batch_kernel *const BATCH[FS_TIERS] =
    FS_KERNELS(batch_portable, batch_portable, fs_crc32_uslp_batch_avx2, fs_crc32_uslp_batch_avx512,
               batch_portable, fs_crc32_uslp_batch_pmull);

uint32_t fs_crc32_uslp(const uint8_t *buf, size_t nbytes, uint32_t init)
{
    return CRC[fs_tier()](buf, nbytes, init);
}

int64_t fs_crc32_uslp_batch(const uint8_t *buf, size_t nbytes, const uint64_t *offsets,
                       const uint32_t *lengths, size_t count, uint32_t init, uint32_t *out)
{
    int inside = BATCH[fs_tier()](buf, nbytes, offsets, lengths, count, init, out);
    return inside ? (int64_t)count : FS_E_SHORT;
}
