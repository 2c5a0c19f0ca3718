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

#define STEP(r) ((((r) << 1) & 0xFFFF) ^ ((((r) >> 15) & 1) * 0x1021))

/* x^(16 + 8k + b) mod P, four octets a name; x^15 stands in front of the chain. */
enum {
    FS_CHAIN_UP(STEP, A, 0x8000),
    FS_CHAIN_UP(STEP, B, A3_7),
    FS_CHAIN_UP(STEP, C, B3_7),
    FS_CHAIN_UP(STEP, D, C3_7),
};

/* x86 exclusive-ors 32 bits straight from memory, which gains a sixth; others load half as much. */
#if defined(FS_X86)
typedef uint32_t entry;
#else
typedef uint16_t entry;
#endif

static const entry T[16][256] = {FS_TABLES_4(A), FS_TABLES_4(B), FS_TABLES_4(C), FS_TABLES_4(D)};

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
