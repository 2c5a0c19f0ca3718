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
#define STEP(r) ((((r) << 1) & 0xFF) ^ ((((r) >> 7) & 1) * 0x8A))

/* x^(7 + 8k + b) mod g, the parity of bit b of octet 6 - k, four octets a name; x^6 stands in front. */
enum {
    FS_CHAIN_UP(STEP, P, 0x80),
    FS_CHAIN_UP(STEP, Q, P3_7),
};

static const uint8_t T[7][256] = {
    {FS_LINEAR_256(Q2_)}, {FS_LINEAR_256(Q1_)}, {FS_LINEAR_256(Q0_)}, {FS_LINEAR_256(P3_)},
    {FS_LINEAR_256(P2_)}, {FS_LINEAR_256(P1_)}, {FS_LINEAR_256(P0_)},
};

static const uint8_t TAIL[8] = {0xC5, 0xC5, 0xC5, 0xC5, 0xC5, 0xC5, 0xC5, 0x79};

/* Which bit a syndrome blames, 1 for the first to be sent of octet 0: the syndrome of one wrong bit
 * is its own parity. 0 where no single bit is to blame. */
#define FS_BLAME(name, octet)                                                                      \
    [name##0 >> 1] = 8 * (octet) + 8, [name##1 >> 1] = 8 * (octet) + 7,                            \
    [name##2 >> 1] = 8 * (octet) + 6, [name##3 >> 1] = 8 * (octet) + 5,                            \
    [name##4 >> 1] = 8 * (octet) + 4, [name##5 >> 1] = 8 * (octet) + 3,                            \
    [name##6 >> 1] = 8 * (octet) + 2, [name##7 >> 1] = 8 * (octet) + 1

static const uint8_t BLAMED[128] = {
    FS_BLAME(Q2_, 0), FS_BLAME(Q1_, 1), FS_BLAME(Q0_, 2), FS_BLAME(P3_, 3), FS_BLAME(P2_, 4),
    FS_BLAME(P1_, 5), FS_BLAME(P0_, 6), [64] = 57, [32] = 58,         [16] = 59,
    [8] = 60,         [4] = 61,         [2] = 62,         [1] = 63,
};

enum { START = 0xEB90, FILL = 0x55, INFO = 7, BLOCK = 8 };

static inline uint8_t parity(const uint8_t *info)
{
    return T[0][info[0]] ^ T[1][info[1]] ^ T[2][info[2]] ^ T[3][info[3]] ^ T[4][info[4]] ^
           T[5][info[5]] ^ T[6][info[6]];
}

/* Parity is sent complemented; the filler bit carries nothing. Half of the octets come by one load:
 * all by loads of their own wait for the load units, all by one for the shifts. */
static inline uint8_t syndrome(const uint8_t *block)
{
    uint32_t late = block[4] | (uint32_t)block[5] << 8 | (uint32_t)block[6] << 16 |
                    (uint32_t)block[7] << 24;
    uint32_t sum = T[0][block[0]] ^ T[1][block[1]] ^ T[2][block[2]] ^ T[3][block[3]] ^
                   T[4][late & 0xFF] ^ T[5][late >> 8 & 0xFF] ^ T[6][late >> 16 & 0xFF];
    return (uint8_t)(sum ^ late >> 24 ^ 0xFE) & 0xFE;
}

int64_t fs_bch_encode(const uint8_t *info, size_t count, uint8_t *blocks)
{
    for (size_t i = 0; i < count; i++, info += INFO, blocks += BLOCK) {
        memcpy(blocks, info, INFO);
        blocks[INFO] = parity(info) ^ 0xFE;
    }
    return (int64_t)count;
}

int64_t fs_bch_check(const uint8_t *blocks, size_t count, uint8_t *syndromes)
{
    size_t clean = 0;
    for (size_t i = 0; i < count; i++)
        syndromes[i] = syndrome(blocks + i * BLOCK);
    for (size_t i = 0; i < count; i++) /* by itself: many at once */
        clean += !syndromes[i];
    return (int64_t)clean;
}

int64_t fs_bch_correct(uint8_t *block)
{
    uint8_t wrong = syndrome(block);
    if (!wrong)
        return 0;
    uint32_t blamed = BLAMED[wrong >> 1];
    if (!blamed)
        return FS_E_CHECK;
    block[(blamed - 1) / 8] ^= 0x80 >> (blamed - 1) % 8;
    return 1;
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
    size_t whole = nbytes / INFO, rest = nbytes % INFO;
    *out++ = START >> 8;
    *out++ = START & 0xFF;
    fs_bch_encode(in, whole, out);
    out += whole * BLOCK;
    if (rest) {
        uint8_t last[INFO];
        memset(last, FILL, INFO);
        memcpy(last, in + whole * INFO, rest);
        fs_bch_encode(last, 1, out);
        out += BLOCK;
    }
    memcpy(out, TAIL, sizeof TAIL);
    return (int64_t)fs_cltu_nbytes(nbytes);
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
    rx->fresh = 8 - rx->bit; /* bits of the last octet in that lie behind the unit */
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

/* Codeblocks without a wrong bit that stand whole, unslipped in the input. Returns octets taken. */
static size_t take_clean(fs_cltu_receiver *rx, const uint8_t *in, size_t nbytes)
{
    size_t taken = 0;
    if (rx->nheld || rx->bit != 8 || rx->inverted)
        return 0;
    while (taken + BLOCK <= nbytes && rx->nbytes + INFO <= sizeof rx->data &&
           !syndrome(in + taken)) {
        memcpy(rx->data + rx->nbytes, in + taken, INFO);
        rx->nbytes += INFO;
        rx->codeblocks++;
        taken += BLOCK;
    }
    return taken;
}

/* Another octet is in the window: enter a unit if that ends in a start sequence, of which one bit
 * may be wrong; of several places the earliest. */
static void look_for_start(fs_cltu_receiver *rx)
{
    rx->fresh += rx->fresh < 24 ? 8 : 0;
    for (uint32_t bit = rx->any_bit ? 1 : 8; bit <= 8; bit++)
        for (uint32_t inverted = 0; inverted <= (rx->any_bit ? 0xFFFF : 0); inverted += 0xFFFF) {
            uint32_t wrong = ((rx->window >> (8 - bit)) ^ inverted ^ START) & 0xFFFF;
            if (rx->fresh < 24 - bit || (wrong & (wrong - 1)))
                continue;
            rx->inside = 1;
            rx->bit = bit;
            rx->inverted = inverted & 0xFF;
            rx->nbytes = 0;
            rx->start_errors += wrong != 0;
            rx->slipped_starts += bit != 8;
            rx->inverted_starts += inverted != 0;
            return;
        }
    rx->skipped_octets += rx->fresh >= 16;
}

int64_t fs_cltu_feed(fs_cltu_receiver *rx, const uint8_t *in, size_t nbytes)
{
    rx->ready = 0;
    for (size_t i = 0; i < nbytes; i++) {
        if (rx->inside) {
            i += take_clean(rx, in + i, nbytes - i);
            if (i == nbytes)
                break;
        }
        rx->window = rx->window << 8 | in[i];
        if (!rx->inside) {
            look_for_start(rx);
            continue;
        }
        rx->held[rx->nheld++] = (uint8_t)(rx->window >> (8 - rx->bit) ^ rx->inverted);
        if (rx->nheld == BLOCK && close_block(rx))
            return (int64_t)i + 1;
    }
    return (int64_t)nbytes;
}
