/* CRC-32 of USLP and Proximity-1: P = x^32 + x^23 + x^21 + x^11 + x^2 + 1, most significant bit
 * first, preset 0, no final exclusive or.
 *
 * Eight octets are looked up side by side, as sixteen are in crc16.c: these tables are twice as
 * wide. Here the old register enters with the first four of them. */
#include "crc_kernels.h"
#include "linear.h"

#define STEP(r) ((((r) * 2ull) & 0xFFFFFFFF) ^ ((((r) >> 31) & 1ull) * 0x00A00805ull))

/* x^(32 + 8k + b) mod P, four octets a name; x^31 stands in front of the chain. */
enum {
    FS_CHAIN_UP(STEP, A, 0x80000000),
    FS_CHAIN_UP(STEP, B, A3_7),
};

static const uint32_t T[8][256] = {FS_TABLES_4(A), FS_TABLES_4(B)};

uint32_t fs_crc32_uslp_portable(const uint8_t *buf, size_t nbytes, uint32_t init)
{
    uint32_t r = init;
    for (; nbytes >= 8; buf += 8, nbytes -= 8) {
        uint32_t rest = T[3][buf[4]] ^ T[2][buf[5]] ^ T[1][buf[6]] ^ T[0][buf[7]];
        r = rest ^ ((T[7][buf[0] ^ (r >> 24)] ^ T[6][buf[1] ^ (r >> 16 & 0xFF)]) ^
                    (T[5][buf[2] ^ (r >> 8 & 0xFF)] ^ T[4][buf[3] ^ (r & 0xFF)]));
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
