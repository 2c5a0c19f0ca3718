/* What the fuzz targets of the chain share: a stream through it in chunks, and the balance of its
 * counters. */
#ifndef FLATSAT_FUZZ_CHAIN_RUN_H
#define FLATSAT_FUZZ_CHAIN_RUN_H

#include "fuzz.h"

enum { NROWS = 1024, NOCTETS = FS_FRAME_UNIT_NBYTES + 2048, NSLOTS = 4 };

typedef struct {
    uint64_t hash, rows;
    fs_sync sync;
    uint64_t counts[16];
} outcome;

static fs_frame_slot slots[NSLOTS];
static fs_frame_receiver frames;
static uint8_t octets[NOCTETS], work[8192];
static fs_frame_row rows[NROWS];

static inline void note(outcome *o, const fs_frame_sink *to)
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

static inline void balance(outcome *o, const fs_chain *c, uint64_t bits)
{
    const fs_sync *s = &c->sync;
    fs_frame_counters sum;
    fs_frame_sum(&frames, &sum);
    FS_MUST(bits == s->unit_bits + s->marker_bits + s->bad_bits + s->skipped_bits);
    FS_MUST(s->units * c->unit_nbytes == c->failed_octets + c->parity_octets + frames.octets);
    FS_MUST(frames.octets == frames.refused_octets + sum.overhead_octets + sum.packet_octets +
                                 sum.unit_octets + sum.idle_octets + sum.repeated_octets +
                                 sum.unaligned_octets + sum.lost_octets +
                                 fs_frame_pending(&frames));
    uint64_t counts[] = {c->corrected_octets, c->failed_codewords, c->failed_units, frames.given,
                         frames.bad_fecf, frames.refused_octets, sum.packets, sum.vc_gaps};
    memcpy(o->counts, counts, sizeof counts);
}

static inline outcome run(const fs_chain_settings *is, const fs_frame_settings *of,
                          const uint8_t *data, size_t nbytes, size_t chunk)
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
        FS_MUST(8 * (to - from) <
                is->sync.marker_nbits + 8 * c.unit_nbytes + 16u + 3u * is->sync.slip);
    }
    balance(&o, &c, 8 * (uint64_t)from + c.at);
    o.sync = c.sync;
    o.sync.open = 0;
    return o;
}

/* However the stream is cut and on every tier, the same packets and the same counters. */
static inline outcome same_on_all_tiers(const fs_chain_settings *is, const fs_frame_settings *of,
                                        const uint8_t *stream, size_t nbytes, size_t chunk)
{
    fs_tier_force(0);
    outcome want = run(is, of, stream, nbytes, nbytes);
    FOR_EACH_TIER(level) {
        outcome got = run(is, of, stream, nbytes, chunk);
        FS_MUST(!memcmp(&got, &want, sizeof got));
    }
    return want;
}

#endif
