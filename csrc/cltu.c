/* Telecommand channel coding: communications link transmission units (CCSDS 231.0-B-4).
 *
 * A codeblock is 56 information bits, 7 parity bits of the BCH(63,56) code with
 * g = x^7 + x^6 + x^2 + 1, complemented, and one filler bit of 0. g = (x + 1)(x^6 + x + 1), so all
 * code words have even weight: 63 of the 127 non-zero syndromes are those of one wrong bit, the
 * others belong to at least two, and correcting the former never hides the latter. */
#include "flatsat.h"
#include "linear.h"

#include <string.h>

/* The register stands in the upper seven bits, so that whole octets can be folded in. */
#define FS_STEP(r) ((((r) << 1) & 0xFF) ^ ((((r) >> 7) & 1) * 0x8A))

/* Pk_b = x^(7 + 8k + b) mod g, the parity of bit b of octet 6 - k; x^6 stands in front. */
enum {
    FS_CHAIN_8(P0_, 0x80),
    FS_CHAIN_8(P1_, P0_7),
    FS_CHAIN_8(P2_, P1_7),
    FS_CHAIN_8(P3_, P2_7),
    FS_CHAIN_8(P4_, P3_7),
    FS_CHAIN_8(P5_, P4_7),
    FS_CHAIN_8(P6_, P5_7),
};

static const uint8_t T[7][256] = {
    {FS_LINEAR_256(P6_)}, {FS_LINEAR_256(P5_)}, {FS_LINEAR_256(P4_)}, {FS_LINEAR_256(P3_)},
    {FS_LINEAR_256(P2_)}, {FS_LINEAR_256(P1_)}, {FS_LINEAR_256(P0_)},
};

static const uint8_t TAIL[8] = {0xC5, 0xC5, 0xC5, 0xC5, 0xC5, 0xC5, 0xC5, 0x79};

enum { START = 0xEB90, FILL = 0x55, INFO = 7, BLOCK = 8 };

static uint8_t parity(const uint8_t *info)
{
    return T[0][info[0]] ^ T[1][info[1]] ^ T[2][info[2]] ^ T[3][info[3]] ^ T[4][info[4]] ^
           T[5][info[5]] ^ T[6][info[6]];
}

size_t fs_cltu_nbytes(size_t nbytes)
{
    return 2 + (nbytes + INFO - 1) / INFO * BLOCK + sizeof TAIL;
}

int64_t fs_cltu_encode(const uint8_t *in, size_t nbytes, uint8_t *out, size_t capacity)
{
    if (!nbytes)
        return FS_E_SHORT;
    if (capacity < fs_cltu_nbytes(nbytes))
        return FS_E_CAPACITY;
    uint8_t *at = out;
    *at++ = START >> 8;
    *at++ = START & 0xFF;
    while (nbytes) {
        size_t n = nbytes < INFO ? nbytes : INFO;
        memcpy(at, in, n);
        memset(at + n, FILL, INFO - n);
        at[INFO] = parity(at) ^ 0xFE;
        at += BLOCK;
        in += n;
        nbytes -= n;
    }
    memcpy(at, TAIL, sizeof TAIL);
    return at + sizeof TAIL - out;
}

/* Correct at most one wrong bit in place. Returns the number of bits corrected, or FS_E_CHECK. */
int64_t fs_bch_correct(uint8_t *block)
{
    uint8_t syndrome = (parity(block) ^ block[INFO] ^ 0xFE) & 0xFE;
    if (!syndrome)
        return 0;
    for (int bit = 1; bit < 8; bit++)
        if (syndrome == 1 << bit) {
            block[INFO] ^= syndrome;
            return 1;
        }
    for (int octet = 0; octet < INFO; octet++)
        for (int bit = 0; bit < 8; bit++)
            if (syndrome == T[octet][1 << bit]) {
                block[octet] ^= (uint8_t)(1 << bit);
                return 1;
            }
    return FS_E_CHECK;
}

/* A codeblock is complete in rx->held: keep its octets or end the unit. */
static int close_block(fs_cltu_receiver *rx)
{
    rx->nheld = 0;
    int64_t corrected = fs_bch_correct(rx->held);
    if (corrected >= 0 && rx->nbytes + INFO <= sizeof rx->data) {
        memcpy(rx->data + rx->nbytes, rx->held, INFO);
        rx->nbytes += INFO;
        rx->codeblocks++;
        rx->corrected_bits += (uint64_t)corrected;
        return 0;
    }
    rx->inside = 0;
    if (corrected >= 0)
        rx->overlong_units++;
    else if (memcmp(rx->held, TAIL, sizeof TAIL))
        rx->rejected_codeblocks++;
    else
        rx->tails++;
    rx->ready = rx->nbytes != 0;
    rx->units += rx->ready;
    rx->empty_units += !rx->ready;
    return rx->ready;
}

int64_t fs_cltu_feed(fs_cltu_receiver *rx, const uint8_t *in, size_t nbytes)
{
    rx->ready = 0;
    for (size_t i = 0; i < nbytes; i++) {
        rx->held[rx->nheld++] = in[i];
        if (rx->inside) {
            if (rx->nheld == BLOCK && close_block(rx))
                return (int64_t)i + 1;
        } else if (rx->nheld == 2) {
            int wrong = __builtin_popcount((rx->held[0] << 8 | rx->held[1]) ^ START);
            rx->inside = wrong <= 1;
            rx->start_errors += wrong == 1;
            rx->skipped_octets += wrong > 1;
            rx->held[0] = rx->held[1];
            rx->nheld = rx->inside ? 0 : 1;
            rx->nbytes = 0;
        }
    }
    return (int64_t)nbytes;
}
