/* CLTUs: a receiver gives the same units and counters however its input is cut, and accounts for
 * every octet; what was encoded comes back, at any bit and with a wrong bit in every codeblock. */
#include "fuzz.h"

typedef struct {
    fs_cltu_receiver rx;
    uint32_t digest;
} run;

/* Feed `step` octets at a time, all at once if that is 0. */
static void feed(run *r, const uint8_t *in, size_t nbytes, size_t step)
{
    while (nbytes) {
        size_t n = step && step < nbytes ? step : nbytes;
        uint8_t *piece = exact(in, n);
        for (size_t at = 0; at < n;) {
            int64_t taken = fs_cltu_feed(&r->rx, piece + at, n - at);
            FS_MUST(taken > 0 && (size_t)taken <= n - at);
            at += (size_t)taken;
            if (r->rx.ready)
                r->digest = fs_crc32c(r->rx.data, r->rx.nbytes, r->digest);
        }
        free(piece);
        in += n;
        nbytes -= n;
    }
    r->rx.ready = 0; /* how the last call ended */
}

static void any_cut(fuzz_input in, uint32_t any_bit, size_t step)
{
    static run whole, cut;
    memset(&whole, 0, sizeof whole);
    memset(&cut, 0, sizeof cut);
    whole.rx.any_bit = cut.rx.any_bit = any_bit;
    feed(&whole, in.data, in.nbytes, 0);
    feed(&cut, in.data, in.nbytes, step);
    FS_MUST(whole.digest == cut.digest);
    FS_MUST(!memcmp(&whole.rx.units, &cut.rx.units,
                    sizeof cut.rx - offsetof(fs_cltu_receiver, units)));
    const fs_cltu_receiver *rx = &whole.rx;
    uint64_t closed = rx->tails + rx->rejected_codeblocks + rx->overlong_units;
    uint64_t held = rx->inside ? rx->nheld : rx->fresh >= 8;
    if (!any_bit)
        FS_MUST(2 * (closed + rx->inside) + 8 * (rx->codeblocks + closed) + rx->skipped_octets +
                    held == in.nbytes);
}

/* A frame there and back, `shift` bits late. */
static void round_trip(fuzz_input in, unsigned shift, uint8_t invert)
{
    static run r;
    size_t frame = in.nbytes > 1024 ? 1024 : in.nbytes, nbytes = fs_cltu_nbytes(frame);
    if (!frame)
        return;
    uint8_t *unit = exact(NULL, nbytes), *air = exact(NULL, nbytes + 1);
    uint8_t *data = exact(in.data, frame);
    FS_MUST(fs_cltu_encode(data, frame, unit, nbytes - 1) == FS_E_CAPACITY);
    FS_MUST(fs_cltu_encode(data, frame, unit, nbytes) == (int64_t)nbytes);
    for (size_t i = 2; i + 8 < nbytes; i += 8)
        unit[i + data[i % frame] % 7] ^= (uint8_t)(1 << data[(i + 1) % frame] % 8);
    for (size_t i = 0; i < nbytes; i++) {
        air[i] |= (uint8_t)((unit[i] ^ invert) >> shift);
        air[i + 1] |= (uint8_t)((unit[i] ^ invert) << (8 - shift));
    }
    memset(&r, 0, sizeof r);
    r.rx.any_bit = shift || invert;
    size_t taken = (size_t)fs_cltu_feed(&r.rx, air, nbytes + 1);
    FS_MUST(r.rx.ready && taken == nbytes + (shift != 0));
    FS_MUST(!memcmp(r.rx.data, data, frame) && r.rx.tails == 1);
    FS_MUST(r.rx.corrected_bits == r.rx.codeblocks);
    free(unit);
    free(air);
    free(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_input in = {data, nbytes};
    uint32_t choice = (uint32_t)take(&in, 1);
    any_cut(in, choice & 1, take(&in, 1));
    round_trip(in, choice >> 1 & 7, choice & 16 ? 0xFF : 0);
    return 0;
}
