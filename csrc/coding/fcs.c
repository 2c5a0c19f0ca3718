/* Frame check sequences of HDLC: the least significant bit is sent first, so the polynomials stand
 * mirrored and the register shifts right. T0[i] is what octet i leaves behind after eight steps and
 * Tk[i] after 8k more, so that four octets are looked up side by side (crc16.c says why that is
 * allowed). Octet 128 reaches the end of the register last: its entry stands first in the chain. */
#include "fcs.h"
#include "linear.h"

#define STEP_16(r) ((r) >> 1 ^ ((r) & 1) * 0x8408u)
#define STEP_32(r) ((r) >> 1 ^ ((r) & 1) * 0xEDB88320u)

enum {
    FS_CHAIN_DOWN(STEP_16, A, 1u),
    FS_CHAIN_DOWN(STEP_32, B, 1u),
};

static const uint16_t A[4][256] = {FS_TABLES_4(A)};
static const uint32_t B[4][256] = {FS_TABLES_4(B)};

uint32_t fcs16(const uint8_t *buf, size_t nbytes)
{
    uint32_t r = 0xFFFF;
    for (; nbytes >= 4; buf += 4, nbytes -= 4)
        r = A[3][buf[0] ^ (r & 0xFF)] ^ A[2][buf[1] ^ r >> 8] ^ A[1][buf[2]] ^ A[0][buf[3]];
    for (; nbytes; buf++, nbytes--)
        r = A[0][(*buf ^ r) & 0xFF] ^ r >> 8;
    return r ^ 0xFFFF;
}

uint32_t fcs32(const uint8_t *buf, size_t nbytes)
{
    uint32_t r = 0xFFFFFFFF;
    for (; nbytes >= 4; buf += 4, nbytes -= 4)
        r = B[3][buf[0] ^ (r & 0xFF)] ^ B[2][buf[1] ^ (r >> 8 & 0xFF)] ^
            B[1][buf[2] ^ (r >> 16 & 0xFF)] ^ B[0][buf[3] ^ r >> 24];
    for (; nbytes; buf++, nbytes--)
        r = B[0][(*buf ^ r) & 0xFF] ^ r >> 8;
    return ~r;
}
