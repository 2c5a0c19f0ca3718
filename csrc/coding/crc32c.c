/* CRC-32C (Castagnoli), checksum type 2 of CFDP (CCSDS 727.0-B-5): least significant bit first, so
 * the register stands mirrored, the polynomial 0x1EDC6F41 becomes 0x82F63B78, and octets enter and
 * leave at the low end.
 *
 * Eight octets are looked up side by side as in crc32.c. */
#include "crc_kernels.h"
#include "linear.h"

#define STEP(r) (((r) >> 1) ^ (((r) & 1ull) * 0x82F63B78ull))

/* The register after an octet of one bit and k octets of zeros, four octets a name. */
enum {
    FS_CHAIN_DOWN(STEP, A, 1),
    FS_CHAIN_DOWN(STEP, B, A3_0),
};

static const uint32_t T[8][256] = {FS_TABLES_4(A), FS_TABLES_4(B)};

uint32_t fs_crc32c_portable(const uint8_t *buf, size_t nbytes, uint32_t init)
{
    uint32_t r = ~init;
    for (; nbytes >= 8; buf += 8, nbytes -= 8) {
        uint32_t rest = T[3][buf[4]] ^ T[2][buf[5]] ^ T[1][buf[6]] ^ T[0][buf[7]];
        r = rest ^ ((T[7][buf[0] ^ (r & 0xFF)] ^ T[6][buf[1] ^ (r >> 8 & 0xFF)]) ^
                    (T[5][buf[2] ^ (r >> 16 & 0xFF)] ^ T[4][buf[3] ^ (r >> 24)]));
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
