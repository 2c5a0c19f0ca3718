/* CRC-32C (Castagnoli), checksum type 2 of CFDP (CCSDS 727.0-B-5): least significant bit first, so
 * the register stands mirrored, the polynomial 0x1EDC6F41 becomes 0x82F63B78, and octets enter and
 * leave at the low end.
 *
 * Sixteen octets are looked up side by side as in crc16.c. */
#include "crc_kernels.h"
#include "linear.h"

/* Mirrored: the chain goes down from the most significant bit of an octet, which is the last. */
#define FS_STEP(r) (((r) >> 1) ^ (((r) & 1ull) * 0x82F63B78ull))
#define FS_CHAIN_DOWN(name, before)                                                                \
    name##7 = FS_STEP(before), name##6 = FS_STEP(name##7), name##5 = FS_STEP(name##6),             \
    name##4 = FS_STEP(name##5), name##3 = FS_STEP(name##4), name##2 = FS_STEP(name##3),            \
    name##1 = FS_STEP(name##2), name##0 = FS_STEP(name##1)

/* Zk_b: the register after an octet of only bit b and k octets of zeros. */
enum {
    FS_CHAIN_DOWN(Z0_, 1),
    FS_CHAIN_DOWN(Z1_, Z0_0),
    FS_CHAIN_DOWN(Z2_, Z1_0),
    FS_CHAIN_DOWN(Z3_, Z2_0),
    FS_CHAIN_DOWN(Z4_, Z3_0),
    FS_CHAIN_DOWN(Z5_, Z4_0),
    FS_CHAIN_DOWN(Z6_, Z5_0),
    FS_CHAIN_DOWN(Z7_, Z6_0),
    FS_CHAIN_DOWN(Z8_, Z7_0),
    FS_CHAIN_DOWN(Z9_, Z8_0),
    FS_CHAIN_DOWN(Z10_, Z9_0),
    FS_CHAIN_DOWN(Z11_, Z10_0),
    FS_CHAIN_DOWN(Z12_, Z11_0),
    FS_CHAIN_DOWN(Z13_, Z12_0),
    FS_CHAIN_DOWN(Z14_, Z13_0),
    FS_CHAIN_DOWN(Z15_, Z14_0),
};

static const uint32_t T[16][256] = {
    {FS_LINEAR_256(Z0_)},  {FS_LINEAR_256(Z1_)},  {FS_LINEAR_256(Z2_)},  {FS_LINEAR_256(Z3_)},
    {FS_LINEAR_256(Z4_)},  {FS_LINEAR_256(Z5_)},  {FS_LINEAR_256(Z6_)},  {FS_LINEAR_256(Z7_)},
    {FS_LINEAR_256(Z8_)},  {FS_LINEAR_256(Z9_)},  {FS_LINEAR_256(Z10_)}, {FS_LINEAR_256(Z11_)},
    {FS_LINEAR_256(Z12_)}, {FS_LINEAR_256(Z13_)}, {FS_LINEAR_256(Z14_)}, {FS_LINEAR_256(Z15_)},
};

uint32_t fs_crc32c_portable(const uint8_t *buf, size_t nbytes, uint32_t init)
{
    uint32_t r = ~init;
    for (; nbytes >= 16; buf += 16, nbytes -= 16) {
        uint32_t rest = T[11][buf[4]] ^ T[10][buf[5]] ^ T[9][buf[6]] ^ T[8][buf[7]] ^
                        T[7][buf[8]] ^ T[6][buf[9]] ^ T[5][buf[10]] ^ T[4][buf[11]] ^
                        T[3][buf[12]] ^ T[2][buf[13]] ^ T[1][buf[14]] ^ T[0][buf[15]];
        r = rest ^ ((T[15][buf[0] ^ (r & 0xFF)] ^ T[14][buf[1] ^ (r >> 8 & 0xFF)]) ^
                    (T[13][buf[2] ^ (r >> 16 & 0xFF)] ^ T[12][buf[3] ^ (r >> 24)]));
    }
    if (nbytes >= 4) {
        r = (T[nbytes - 1][buf[0] ^ (r & 0xFF)] ^ T[nbytes - 2][buf[1] ^ (r >> 8 & 0xFF)]) ^
            (T[nbytes - 3][buf[2] ^ (r >> 16 & 0xFF)] ^ T[nbytes - 4][buf[3] ^ (r >> 24)]);
        for (size_t i = 4; i < nbytes; i++)
            r ^= T[nbytes - 1 - i][buf[i]];
        nbytes = 0;
    }
    for (; nbytes; buf++, nbytes--)
        r = T[0][*buf ^ (r & 0xFF)] ^ (r >> 8);
    return ~r;
}

FS_CRC_BATCH(static, uint32_t, batch_portable, fs_crc32c_portable)

static fs_crc32_kernel *const CRC[FS_TIERS] =
    FS_KERNELS(fs_crc32c_portable, fs_crc32c_portable, fs_crc32c_avx2, fs_crc32c_avx512,
               fs_crc32c_portable, fs_crc32c_pmull);
static fs_crc32_batch_kernel *const BATCH[FS_TIERS] =
    FS_KERNELS(batch_portable, batch_portable, fs_crc32c_batch_avx2, fs_crc32c_batch_avx512,
               batch_portable, fs_crc32c_batch_pmull);

uint32_t fs_crc32c(const uint8_t *buf, size_t nbytes, uint32_t init)
{
    return CRC[fs_tier()](buf, nbytes, init);
}

int64_t fs_crc32c_batch(const uint8_t *buf, size_t nbytes, const uint64_t *offsets,
                        const uint32_t *lengths, size_t count, uint32_t init, uint32_t *out)
{
    int inside = BATCH[fs_tier()](buf, nbytes, offsets, lengths, count, init, out);
    return inside ? (int64_t)count : FS_E_SHORT;
}
