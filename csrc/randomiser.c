/* Pseudo-random sequences that are exclusive-ored over frames (CCSDS 131.0-B, 231.0-B).
 *
 * A sequence obeys s[n + d] = sum of s[n + t] over the taps t of its polynomial, bit by bit.
 * Squaring a polynomial over GF(2) doubles its exponents, so the same recurrence holds at
 * distances of 8 bits, that is between whole octets: after the first d octets the sequence is
 * made an octet at a time with the same taps. Squared k times more, it holds at distances of 2^k
 * octets: with x^17 + x^14 + 1 the octet at n is the sum of those at n - 3 * 2^k and n - 17 * 2^k,
 * so that a whole vector can be made at once as soon as 3 * 2^k octets cover it. */
#include "randomiser_kernels.h"

typedef struct {
    uint32_t degree; /* d */
    uint32_t taps;   /* bit t set: s[n + t] takes part */
    uint32_t seed;   /* the first d bits, the first to leave in the least significant bit */
} sequence;

static const sequence SEQUENCES[] = {
    [FS_PN_TM] = {8, 0xA9, 0xFF},          /* x^8 + x^7 + x^5 + x^3 + 1 */
    [FS_PN_TC] = {8, 0x5F, 0xFF},          /* x^8 + x^6 + x^4 + x^3 + x^2 + x + 1 */
    [FS_PN_TM17] = {17, 0x4001, 0x18E38}, /* x^17 + x^14 + 1 */
};

enum {
    NEAR = 32 * 3, /* distances of the sequence of degree 17, squared five times more */
    FAR = 32 * 17,
    SHORT_PERIOD = 255,
    /* What fs_randomise keeps of a sequence: whole short periods, and enough to go on from. */
    PIECE = 16 * SHORT_PERIOD,
};

static void fill_start(const sequence *s, uint8_t *out, size_t nbytes)
{
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
    for (; n < nbytes; n++) {
        const uint8_t *from = out + n - s->degree;
        uint8_t octet = 0;
        for (uint32_t taps = s->taps; taps; taps &= taps - 1)
            octet ^= from[__builtin_ctz(taps)];
        out[n] = octet;
    }
}

/* The `nbytes` of the long sequence that follow the FAR octets before out. */
static void go_on(uint8_t *out, size_t nbytes)
{
    for (; nbytes >= NEAR; out += NEAR, nbytes -= NEAR)
        fs_pn_xor(out - FAR, out - NEAR, out, NEAR);
    fs_pn_xor(out - FAR, out - NEAR, out, nbytes);
}

int64_t fs_pn_fill(int32_t kind, uint8_t *out, size_t nbytes)
{
    if (kind < 0 || kind >= (int32_t)(sizeof SEQUENCES / sizeof *SEQUENCES))
        return FS_E_RANGE;
    size_t start = kind == FS_PN_TM17 ? FAR : SHORT_PERIOD;
    if (start > nbytes)
        start = nbytes;
    fill_start(&SEQUENCES[kind], out, start);
    if (kind == FS_PN_TM17)
        go_on(out + start, nbytes - start);
    else
        for (size_t n = start; n < nbytes;) { /* whole periods, twice as many each time */
            size_t copied = nbytes - n < n ? nbytes - n : n;
            memcpy(out + n, out, copied);
            n += copied;
        }
    return (int64_t)nbytes;
}

void fs_pn_xor_portable(const uint8_t *pn, const uint8_t *in, uint8_t *out, size_t nbytes)
{
    fs_pn_xor(pn, in, out, nbytes);
}

static fs_pn_kernel *const XOR[FS_TIERS] =
    FS_KERNELS(fs_pn_xor_portable, fs_pn_xor_portable, fs_pn_xor_avx2, fs_pn_xor_avx512,
               fs_pn_xor_portable, fs_pn_xor_portable);

int64_t fs_pn_apply(const uint8_t *pn, const uint8_t *in, size_t in_stride, uint8_t *out,
                    size_t out_stride, size_t nbytes, size_t count)
{
    if (count > 1 && (in_stride < nbytes || out_stride < nbytes))
        return FS_E_RANGE;
    fs_pn_kernel *apply = XOR[fs_tier()];
    for (size_t unit = 0; unit < count; unit++)
        apply(pn, in + unit * in_stride, out + unit * out_stride, nbytes);
    return (int64_t)(nbytes * count);
}

/* The next octets of a sequence of which buf holds FAR and then PIECE octets. */
static void next_piece(int32_t kind, uint8_t *buf)
{
    if (kind != FS_PN_TM17)
        return; /* a piece is whole periods */
    memcpy(buf, buf + PIECE, FAR);
    go_on(buf + FAR, PIECE);
}

int64_t fs_randomise(int32_t kind, const uint8_t *in, uint8_t *out, size_t nbytes, size_t count)
{
    uint8_t buf[FAR + PIECE];
    size_t first = nbytes < PIECE ? nbytes : PIECE;
    int64_t filled = fs_pn_fill(kind, buf + FAR, first);
    if (filled < 0)
        return filled;
    fs_pn_apply(buf + FAR, in, nbytes, out, nbytes, first, count);
    for (size_t at = PIECE; at < nbytes; at += PIECE) {
        size_t n = nbytes - at < PIECE ? nbytes - at : PIECE;
        next_piece(kind, buf);
        fs_pn_apply(buf + FAR, in + at, nbytes, out + at, nbytes, n, count);
    }
    return (int64_t)(nbytes * count);
}
