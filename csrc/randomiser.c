/* Pseudo-random sequences that are exclusive-ored over frames (CCSDS 131.0-B, 231.0-B).
 *
 * A sequence obeys s[n + d] = sum of s[n + t] over the taps t of its polynomial, bit by bit.
 * Squaring a polynomial over GF(2) doubles its exponents, so the same recurrence holds at
 * distances of 8 bits, that is between whole octets: after the first d octets the sequence is
 * made an octet at a time with the same taps. That costs about a cycle an octet, so no table is
 * kept. */
#include "flatsat.h"

#include <string.h>

typedef struct {
    uint32_t degree;  /* d */
    uint32_t taps;    /* bit t set: s[n + t] takes part */
    uint32_t seed;    /* the first d bits, the first to leave in the least significant bit */
    uint32_t period;  /* octets after which the sequence repeats */
} sequence;

static const sequence SEQUENCES[] = {
    [FS_PN_TM] = {8, 0xA9, 0xFF, 255},          /* x^8 + x^7 + x^5 + x^3 + 1 */
    [FS_PN_TC] = {8, 0x5F, 0xFF, 255},          /* x^8 + x^6 + x^4 + x^3 + x^2 + x + 1 */
    [FS_PN_TM17] = {17, 0x4001, 0x18E38, 131071}, /* x^17 + x^14 + 1 */
};

int64_t fs_pn_fill(int32_t kind, uint8_t *out, size_t nbytes)
{
    if (kind < 0 || kind >= (int32_t)(sizeof SEQUENCES / sizeof *SEQUENCES))
        return FS_E_RANGE;
    const sequence *s = &SEQUENCES[kind];
    uint32_t state = s->seed;
    size_t n = 0;
    for (; n < nbytes && n < s->degree; n++) {
        uint8_t octet = 0;
        for (int bit = 0; bit < 8; bit++) {
            octet = (uint8_t)(octet << 1 | (state & 1));
            uint32_t next = (uint32_t)__builtin_parity(state & s->taps);
            state = state >> 1 | next << (s->degree - 1);
        }
        out[n] = octet;
    }
    for (; n < nbytes && n < s->period; n++) {
        const uint8_t *from = out + n - s->degree;
        uint8_t octet = 0;
        for (uint32_t taps = s->taps; taps; taps &= taps - 1)
            octet ^= from[__builtin_ctz(taps)];
        out[n] = octet;
    }
    for (; n < nbytes; n++)
        out[n] = out[n - s->period];
    return (int64_t)nbytes;
}

int64_t fs_randomise(int32_t kind, const uint8_t *in, uint8_t *out, size_t nbytes, size_t count)
{
    enum { BLOCK = 2048 };
    uint8_t pn[BLOCK];
    if (nbytes > BLOCK)
        return FS_E_CAPACITY;
    int64_t filled = fs_pn_fill(kind, pn, nbytes);
    if (filled < 0)
        return filled;
    for (size_t unit = 0; unit < count; unit++, in += nbytes, out += nbytes)
        for (size_t i = 0; i < nbytes; i++)
            out[i] = in[i] ^ pn[i];
    return (int64_t)(nbytes * count);
}
