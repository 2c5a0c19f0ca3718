/* Pseudo-random sequences that are exclusive-ored over frames (CCSDS 131.0-B, 231.0-B).
 *
 * A sequence obeys s[n + d] = sum of s[n + t] over the taps t of its polynomial, bit by bit.
 * Squaring a polynomial over GF(2) doubles its exponents, so the same recurrence holds at
 * distances of 8 bits, that is between whole octets, and of 8 * 2^k bits. With x^17 + x^14 + 1 the
 * octet at n is the sum of those at n - 3 * 2^k and n - 17 * 2^k: as soon as 3 * 2^k octets cover a
 * vector, vectors are made at once. The sequences of degree 8 repeat after 255 octets.
 * csrc/coding/tables/make_randomiser.py makes the octets that all this starts from. */
#include "randomiser_kernels.h"

#include "tables/randomiser.h"

enum {
    NEAR = 32 * 3, /* distances of the sequence of degree 17, squared five times more */
    FAR = 32 * 17,
    PERIOD = 255, /* of the others */
    /* What fs_randomise keeps of a sequence: whole short periods, and enough to go on from. */
    PIECE = 16 * PERIOD,
};

/* The `nbytes` of the long sequence that follow the FAR octets before out. */
static void go_on(uint8_t *out, size_t nbytes)
{
    for (; nbytes > NEAR; out += NEAR, nbytes -= NEAR)
        fs_pn_xor_portable(out - FAR, out - NEAR, 0, out, 0, NEAR, 1);
    fs_pn_xor_portable(out - FAR, out - NEAR, 0, out, 0, nbytes, 1);
}

int64_t fs_pn_fill(int32_t kind, uint8_t *out, size_t nbytes)
{
    if (kind < FS_PN_TM || kind > FS_PN_TM17)
        return FS_E_RANGE;
    if (!nbytes)
        return 0;
    if (kind == FS_PN_TM17) {
        size_t start = nbytes < FAR ? nbytes : FAR;
        memcpy(out, FS_PN_TM17_START, start);
        go_on(out + start, nbytes - start);
        return (int64_t)nbytes;
    }
    memcpy(out, kind == FS_PN_TM ? FS_PN_TM_START : FS_PN_TC_START,
           nbytes < PERIOD ? nbytes : PERIOD);
    for (size_t n = PERIOD; n < nbytes; n *= 2) /* whole periods, twice as many each time */
        memcpy(out + n, out, nbytes - n < n ? nbytes - n : n);
    return (int64_t)nbytes;
}

/* Two units at a time, at least one vector each: the sequence is loaded once for both, and loads are
 * what narrow vectors wait for. */
static inline void xor_pair(const uint8_t *pn, const uint8_t *in, const uint8_t *in2, uint8_t *out,
                            uint8_t *out2, size_t nbytes)
{
    enum { V = sizeof(fs_pn_v16) };
    const size_t end = nbytes - V;
    const fs_pn_v16 last = FS_PN_AT(fs_pn_v16, end);
    const fs_pn_v16 last2 = *(const fs_pn_v16 *)(in2 + end) ^ *(const fs_pn_v16 *)(pn + end);
    for (size_t i = 0; i < end; i += V) {
        const fs_pn_v16 p = *(const fs_pn_v16 *)(pn + i);
        *(fs_pn_v16 *)(out + i) = *(const fs_pn_v16 *)(in + i) ^ p;
        *(fs_pn_v16 *)(out2 + i) = *(const fs_pn_v16 *)(in2 + i) ^ p;
    }
    *(fs_pn_v16 *)(out + end) = last;
    *(fs_pn_v16 *)(out2 + end) = last2;
}

void fs_pn_xor_portable(const uint8_t *pn, const uint8_t *in, size_t in_stride, uint8_t *out,
                        size_t out_stride, size_t nbytes, size_t count)
{
    if (nbytes >= sizeof(fs_pn_v16))
        for (; count > 1; in += 2 * in_stride, out += 2 * out_stride, count -= 2)
            xor_pair(pn, in, in + in_stride, out, out + out_stride, nbytes);
    for (; count; in += in_stride, out += out_stride, count--) {
        if (nbytes >= 16)
            FS_PN_ENDS_AND_MIDDLE(fs_pn_v16);
        else if (nbytes >= 8)
            FS_PN_ENDS_AND_MIDDLE(fs_pn_v8);
        else
            for (size_t i = 0; i < nbytes; i++)
                out[i] = in[i] ^ pn[i];
    }
}

static fs_pn_kernel *const XOR[FS_TIERS] =
    FS_KERNELS(fs_pn_xor_portable, fs_pn_xor_portable, fs_pn_xor_avx2, fs_pn_xor_avx512,
               fs_pn_xor_portable, fs_pn_xor_portable);

int64_t fs_pn_apply(const uint8_t *pn, const uint8_t *in, size_t in_stride, uint8_t *out,
                    size_t out_stride, size_t nbytes, size_t count)
{
    if (count > 1 && (in_stride < nbytes || out_stride < nbytes))
        return FS_E_RANGE;
    if (!nbytes) /* in however many units */
        return 0;
    XOR[fs_tier()](pn, in, in_stride, out, out_stride, nbytes, count);
    return (int64_t)(nbytes * count);
}

int64_t fs_randomise(int32_t kind, const uint8_t *in, uint8_t *out, size_t nbytes, size_t count)
{
    uint8_t buf[FAR + PIECE], *piece = buf + FAR;
    size_t done = nbytes < PIECE ? nbytes : PIECE;
    int64_t filled = fs_pn_fill(kind, piece, done);
    if (filled <= 0)
        return filled;
    fs_pn_kernel *apply = XOR[fs_tier()];
    apply(piece, in, nbytes, out, nbytes, done, count);
    for (size_t n; done < nbytes; done += n) {
        n = nbytes - done < PIECE ? nbytes - done : PIECE;
        if (kind == FS_PN_TM17) { /* of the others a piece is whole periods */
            memcpy(buf, piece + PIECE - FAR, FAR);
            go_on(piece, n);
        }
        apply(piece, in + done, nbytes, out + done, nbytes, n, count);
    }
    return (int64_t)(nbytes * count);
}
