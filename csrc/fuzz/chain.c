/* The chain: however a stream is cut and on every tier, the same packets and the same counters; each
 * bit and each octet is counted once. Markers are put into the input, or none would be found. */
#include "fuzz.h"

enum { UNIT = 35, NROWS = 64, NOCTETS = FS_FRAME_UNIT_NBYTES + 64, NSLOTS = 4 };

typedef struct {
    uint64_t hash, rows;
    fs_sync sync;
    uint64_t counts[16];
} outcome;

static fs_frame_slot slots[NSLOTS];
static fs_frame_receiver frames;
static uint8_t octets[NOCTETS], work[1024];
static fs_frame_row rows[NROWS];

static void note(outcome *o, const fs_frame_sink *to)
{
    for (size_t i = 0; i < to->rows_used; i++) {
        const fs_frame_row *row = &to->rows[i];
        FS_MUST(row->offset + row->nbytes <= to->octets_used);
        for (uint32_t k = 0; k < row->nbytes; k++)
            o->hash = o->hash * 0x100000001B3 + to->octets[row->offset + k];
        o->hash = o->hash * 0x100000001B3 + row->nbytes + row->vcid + row->frame + row->since;
    }
    o->rows += to->rows_used;
}

static void balance(outcome *o, const fs_chain *c, uint64_t bits)
{
    const fs_sync *s = &c->sync;
    fs_frame_counters sum;
    fs_frame_sum(&frames, &sum);
    FS_MUST(bits == s->unit_bits + s->marker_bits + s->bad_bits + s->skipped_bits);
    FS_MUST(s->units * c->unit_nbytes == c->failed_octets + c->parity_octets + frames.octets);
    FS_MUST(frames.octets == frames.refused_octets + sum.overhead_octets + sum.packet_octets +
                                 sum.unit_octets + sum.idle_octets + sum.unaligned_octets +
                                 sum.lost_octets + fs_frame_pending(&frames));
    uint64_t counts[] = {c->corrected_octets, c->failed_codewords, c->failed_units, frames.given,
                         frames.bad_fecf, frames.refused_octets, sum.packets, sum.vc_gaps};
    memcpy(o->counts, counts, sizeof counts);
}

static outcome run(const fs_chain_settings *is, const fs_frame_settings *of, const uint8_t *data,
                   size_t nbytes, size_t chunk)
{
    outcome o;
    fs_chain c;
    memset(&o, 0, sizeof o);
    if (fs_frame_reset(&frames, of, slots, NSLOTS) < 0 ||
        fs_chain_reset(&c, is, &frames, work, sizeof work) < 0)
        return o;
    size_t from = 0;
    for (size_t to = 0; to < nbytes;) {
        to = nbytes - to < chunk ? nbytes : to + chunk;
        for (uint64_t consumed = 1; consumed;) {
            uint8_t *in = exact(data + from, to - from);
            fs_frame_sink sink = {rows, octets, NULL, NROWS, NOCTETS, 0, 0, 0, 0};
            FS_MUST(fs_chain_feed(&c, in, to - from, &consumed, &sink) >= 0);
            note(&o, &sink);
            from += consumed;
            free(in);
        }
        FS_MUST(to - from < 8 + UNIT + 2 + 3);
    }
    balance(&o, &c, 8 * (uint64_t)from + c.at);
    o.sync = c.sync;
    o.sync.open = 0;
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_input in = {data, nbytes};
    uint32_t flags = (uint32_t)take(&in, 2);
    fs_chain_settings is = {.randomiser = flags & 1 ? FS_PN_TM : -1};
    fs_frame_settings of = {.kind = flags >> 1 & 1, .scid = -1, .nbytes = UNIT};
    is.sync = (fs_sync_settings){.marker = 0xEB90, .marker_nbits = 16, .lock_wrong = 1, .step = 1};
    is.sync.inverted = flags >> 2 & 1;
    is.sync.slip = flags >> 3 & 1;
    is.sync.misses = flags >> 4 & 1;
    is.sync.verify = flags >> 5 & 1;
    of.fecf = flags >> 6 & 1 ? 2 : 0;
    of.ocf = flags >> 7 & 1;
    if (flags >> 8 & 1) {
        is.rs = (fs_rs_code){8, flags >> 9 & 1, 1, 220, flags >> 10 & 1};
        of.nbytes = UNIT - 16;
    }
    size_t chunk = 1 + (size_t)take(&in, 1);
    uint8_t *stream = exact(in.data, in.nbytes);
    for (size_t i = 0; i + 2 < in.nbytes; i += stream[i + 2] % 8 ? UNIT + 2 : 3)
        memcpy(stream + i, "\xEB\x90", 2);
    fs_tier_force(0);
    outcome want = run(&is, &of, stream, in.nbytes, in.nbytes);
    FOR_EACH_TIER(level) {
        outcome got = run(&is, &of, stream, in.nbytes, chunk);
        FS_MUST(!memcmp(&got, &want, sizeof got));
    }
    free(stream);
    return 0;
}
