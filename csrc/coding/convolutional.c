/* The convolutional encoder of CCSDS 131.0-B-5 section 3.
 *
 * By definition, a bit at a time: shift it into the register and take two parities. Because
 * neither depends on an earlier output, many bits can be done side by side: with the six bits
 * before them on top of a word of bits, C1 is the exclusive or of that word shifted by the places
 * of the ones of G1, and C2 likewise. The two words are then interleaved, and the symbols that the
 * pattern leaves out are squeezed from the result. */
#include "flatsat.h"
#include "viterbi_kernels.h"

const fs_puncture fs_puncture_of[FS_CONV_RATES] = {
    [FS_CONV_1_2] = {1, 2, {0, 1}},
    [FS_CONV_2_3] = {2, 3, {0, 1, 3}},
    [FS_CONV_3_4] = {3, 4, {0, 1, 3, 4}},
    [FS_CONV_5_6] = {5, 6, {0, 1, 3, 4, 7, 8}},
    [FS_CONV_7_8] = {7, 8, {0, 1, 3, 5, 7, 8, 11, 12}},
};

/* Most steps done at once: their symbols and seven that wait fit a word. */
enum { FS_GROUP = 28, FS_SQUEEZES = 6 };

/* How symbols of a group of steps are made; they stand with the first highest. */
typedef struct {
    unsigned nsteps, nsymbols; /* of a group: whole periods */
    uint64_t flips;            /* symbols inverted */
    uint64_t sent;             /* symbols of a group that are sent */
    uint64_t moves[FS_SQUEEZES];
} fs_group;

int64_t fs_conv_check(const fs_conv_code *code)
{
    return code->rate < FS_CONV_RATES && code->order < FS_CONV_ORDERS ? 0 : FS_E_RANGE;
}

int64_t fs_conv_begin(fs_conv_encoder *e, const fs_conv_code *code)
{
    if (fs_conv_check(code) < 0)
        return FS_E_RANGE;
    *e = (fs_conv_encoder){.code = *code};
    return 0;
}

size_t fs_conv_nbytes(const fs_conv_encoder *e, size_t nbits)
{
    const fs_puncture *p = &fs_puncture_of[e->code.rate];
    return nbits / p->period * p->nsent / 8 + (p->nsent + 7 + 7) / 8 + 1;
}

/* The places of a word whose bits are to be kept and closed up to the low end: which of them move
 * by 1, by 2, by 4 ... (H. S. Warren, Hacker's Delight, section 7-4). */
static void squeeze_plan(uint64_t kept, uint64_t moves[FS_SQUEEZES])
{
    uint64_t gaps = ~kept << 1;
    for (int i = 0; i < FS_SQUEEZES; i++) {
        uint64_t odd = gaps; /* places with an odd number of gaps below */
        for (int shift = 1; shift < 64; shift *= 2)
            odd ^= odd << shift;
        moves[i] = odd & kept;
        kept = (kept ^ moves[i]) | moves[i] >> (1 << i);
        gaps &= ~odd;
    }
}

static uint64_t squeeze(uint64_t x, const uint64_t moves[FS_SQUEEZES])
{
    for (int i = 0; i < FS_SQUEEZES; i++) {
        uint64_t moved = x & moves[i];
        x = (x ^ moved) | moved >> (1 << i);
    }
    return x;
}

static fs_group group_of(fs_conv_code code)
{
    const fs_puncture *p = &fs_puncture_of[code.rate];
    unsigned periods = FS_GROUP / p->period;
    fs_group g = {.nsteps = periods * p->period, .nsymbols = periods * p->nsent};
    for (unsigned i = 0; i < periods; i++)
        for (unsigned k = 0; k < p->nsent; k++) {
            unsigned at = 2 * p->period * i + (p->slot[k] ^ fs_conv_swaps(code));
            g.sent |= (uint64_t)1 << (2 * g.nsteps - 1 - at);
        }
    if (fs_conv_inverts(code))
        g.flips = 0x5555555555555555u << fs_conv_swaps(code) & g.sent;
    squeeze_plan(g.sent, g.moves);
    return g;
}

/* Both symbols of each of nsteps <= 28 bits, the first highest, as sent but for the pattern. */
static uint64_t symbols_of(fs_conv_code code, uint64_t state, uint64_t bits, unsigned nsteps)
{
    uint64_t y = state << nsteps | bits, mask = ((uint64_t)1 << nsteps) - 1;
    uint64_t c1 = (y ^ y >> 1 ^ y >> 2 ^ y >> 3 ^ y >> 6) & mask;
    uint64_t c2 = (y ^ y >> 2 ^ y >> 3 ^ y >> 5 ^ y >> 6) & mask;
    return fs_conv_swaps(code) ? fs_spread(c2) << 1 | fs_spread(c1)
                               : fs_spread(c1) << 1 | fs_spread(c2);
}

/* Up to 28 bits that begin at bit `at` of at least eight octets left, or of few. */
static uint64_t bits_at(const uint8_t *in, size_t nbytes, size_t at, unsigned nbits)
{
    uint64_t word = 0;
    const uint8_t *from = in + at / 8;
    for (unsigned i = 0; i < 5; i++)
        word = word << 8 | (at / 8 + i < nbytes ? from[i] : 0);
    return word >> (40 - at % 8 - nbits) & (((uint64_t)1 << nbits) - 1);
}

/* Puts symbols behind those that wait and writes the whole octets. */
static size_t put(fs_conv_encoder *e, uint64_t symbols, unsigned nsymbols, uint8_t *out)
{
    uint64_t all = (uint64_t)e->pending << nsymbols | symbols;
    unsigned count = e->npending + nsymbols;
    size_t nbytes = count / 8;
    e->npending = count % 8;
    e->pending = (uint8_t)(all & ((1u << e->npending) - 1));
    e->symbols += nsymbols;
    all >>= e->npending;
    for (size_t i = nbytes; i-- > 0; all >>= 8)
        out[i] = (uint8_t)all;
    return nbytes;
}

/* One bit: the pattern may stand anywhere. */
static size_t encode_step(fs_conv_encoder *e, const fs_group *g, uint64_t bit, uint8_t *out)
{
    const fs_puncture *p = &fs_puncture_of[e->code.rate];
    unsigned shift = 2 * (g->nsteps - 1 - e->step);
    uint64_t both = symbols_of(e->code, e->state, bit, 1) ^ (g->flips >> shift & 3);
    uint64_t sent = g->sent >> shift & 3;
    e->state = (uint8_t)((e->state << 1 | bit) & 63);
    e->step = (uint8_t)((e->step + 1) % p->period);
    e->bits++;
    return sent == 3 ? put(e, both, 2, out) : put(e, sent == 2 ? both >> 1 : both & 1, 1, out);
}

int64_t fs_conv_encode(fs_conv_encoder *e, const uint8_t *in, size_t nbits, uint8_t *out,
                       size_t capacity)
{
    if (capacity < fs_conv_nbytes(e, nbits))
        return FS_E_CAPACITY;
    const fs_group g = group_of(e->code);
    const size_t nbytes = (nbits + 7) / 8;
    size_t at = 0, written = 0;
    for (; at < nbits && e->step; at++)
        written += encode_step(e, &g, bits_at(in, nbytes, at, 1), out + written);
    for (; nbits - at >= g.nsteps; at += g.nsteps) {
        uint64_t bits = bits_at(in, nbytes, at, g.nsteps);
        uint64_t symbols = symbols_of(e->code, e->state, bits, g.nsteps) ^ g.flips;
        written += put(e, squeeze(symbols & g.sent, g.moves), g.nsymbols, out + written);
        e->state = bits & 63;
        e->bits += g.nsteps;
    }
    for (; at < nbits; at++)
        written += encode_step(e, &g, bits_at(in, nbytes, at, 1), out + written);
    return (int64_t)written;
}

int64_t fs_conv_flush(fs_conv_encoder *e, uint8_t *out, size_t capacity)
{
    if (!e->npending)
        return 0;
    if (!capacity)
        return FS_E_CAPACITY;
    out[0] = (uint8_t)(e->pending << (8 - e->npending));
    e->npending = e->pending = 0;
    return 1;
}
