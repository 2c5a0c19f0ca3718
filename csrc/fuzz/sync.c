/* Synchroniser: however a stream is cut and on every tier, the same units in the same places; each
 * bit is counted once; what must be kept is bounded. Units are judged by a bit of theirs. */
#include "fuzz.h"

typedef struct {
    uint64_t hash;
    fs_sync end;
} outcome;

static void note(outcome *o, uint64_t value)
{
    o->hash = (o->hash ^ value) * 0x9E3779B97F4A7C15 + (o->hash >> 29);
}

static outcome run(const fs_sync_settings *is, const uint8_t *data, size_t nbytes, size_t chunk,
                   int judged)
{
    outcome o = {0};
    fs_sync *s = &o.end;
    fs_unit unit;
    uint64_t at = 0, whole = is->marker_nbits + is->unit_nbits;
    FS_MUST(fs_sync_reset(s, is) == 0);
    for (size_t from = 0, to = 0; to < nbytes;) {
        to = nbytes - to < chunk ? nbytes : to + chunk;
        uint8_t *in = exact(data + from, to - from);
        while (fs_sync_next(s, in, 8 * (to - from), &at, &unit)) {
            uint8_t first;
            FS_MUST(unit.bit + is->unit_nbits <= 8 * (to - from));
            fs_unit_copy(in, unit.bit, unit.inverted, NULL, &first, 1);
            note(&o, 8 * from + unit.bit);
            note(&o, first | unit.inverted << 8 | unit.wrong << 16 | (uint64_t)unit.state << 32);
            if (judged)
                fs_sync_judge(s, first & 1, &at);
        }
        FS_MUST(8 * from + at == s->unit_bits + s->marker_bits + s->bad_bits + s->skipped_bits);
        FS_MUST(8 * (to - from) - at < whole + 8 + 3u * is->slip);
        from += (size_t)(at >> 3);
        at &= 7;
        free(in);
    }
    s->open = 0;
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_input in = {data, nbytes};
    fs_sync_settings is = {0};
    uint32_t flags = (uint32_t)take(&in, 1);
    is.step = flags & 1 ? 8 : 1;
    is.inverted = flags >> 1 & 1;
    is.marker_nbits = is.step == 8 ? 16 : 8 + (uint32_t)take(&in, 1) % 20;
    is.marker = take(&in, 4) & ((1u << is.marker_nbits) - 1);
    is.unit_nbits = 8 * (1 + (uint32_t)take(&in, 1) % 20);
    is.search_wrong = flags >> 2 & 1;
    is.lock_wrong = 1 + (flags >> 3 & 1);
    is.verify = flags >> 4 & 1;
    is.misses = flags >> 5 & 3;
    is.slip = is.step == 8 ? 8 * (flags >> 7) : 3 * (flags >> 7);
    size_t chunk = 1 + (size_t)take(&in, 1);
    int judged = (int)take(&in, 1) & 1;
    fs_tier_force(0);
    outcome want = run(&is, in.data, in.nbytes, in.nbytes, judged);
    FOR_EACH_TIER(level) {
        outcome got = run(&is, in.data, in.nbytes, chunk, judged);
        FS_MUST(!memcmp(&got, &want, sizeof got));
    }
    return 0;
}
