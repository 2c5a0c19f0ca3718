/* Deframers: any octets in any two chunks give the same frames and counters on every tier as in one
 * chunk on the portable one, and every octet is counted. */
#include "fuzz.h"

enum { MAX_NBYTES = 600, NROWS = 64 };

typedef struct {
    fs_deframer rx;
    uint64_t digest, held;
} outcome;

static void feed(outcome *o, uint8_t *room, size_t nroom, const uint8_t *data, size_t nbytes)
{
    fs_content_row rows[NROWS];
    for (uint64_t consumed = 1; nbytes && consumed; data += consumed, nbytes -= consumed) {
        int64_t n = fs_deframe(&o->rx, data, nbytes, &consumed, rows, NROWS, room, nroom);
        FS_MUST(n >= 0 && consumed <= nbytes);
        for (int64_t i = 0; i < n; i++) {
            FS_MUST(rows[i].nbytes <= MAX_NBYTES && rows[i].offset + rows[i].nbytes <= nroom);
            for (size_t k = 0; k < rows[i].nbytes; k++)
                o->digest = (o->digest ^ room[rows[i].offset + k]) * 0x100000001B3ull;
            o->digest += rows[i].nbytes + 1;
        }
    }
    o->held = nbytes;
}

static outcome run(int32_t kind, uint32_t check, const uint8_t *data, size_t nbytes, size_t cut)
{
    outcome o = {0};
    FS_MUST(fs_deframer_reset(&o.rx, kind, check, MAX_NBYTES, 0) == 0);
    size_t nroom = fs_deframer_room(&o.rx);
    uint8_t *room = exact(NULL, nroom), *head = exact(data, cut);
    feed(&o, room, nroom, head, cut);
    size_t held = o.held;
    uint8_t *tail = exact(data + cut - held, nbytes - cut + held);
    feed(&o, room, nroom, tail, nbytes - cut + held);
    FS_MUST(o.rx.good_octets + o.rx.bad_octets + o.rx.idle_octets + o.held == nbytes);
    free(room);
    free(head);
    free(tail);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_input in = {data, nbytes};
    int32_t kind = (int32_t)take(&in, 1) % 3;
    uint32_t check = kind == FS_HDLC ? 2 * ((uint32_t)take(&in, 1) % 3) : 0;
    size_t cut = take(&in, 2);
    cut = in.nbytes ? cut % (in.nbytes + 1) : 0;
    fs_tier_force(0);
    outcome want = run(kind, check, in.data, in.nbytes, 0);
    FOR_EACH_TIER(level) {
        outcome got = run(kind, check, in.data, in.nbytes, cut);
        got.rx.scanned = want.rx.scanned;
        FS_MUST(!memcmp(&got.rx, &want.rx, sizeof got.rx));
        FS_MUST(got.digest == want.digest && got.held == want.held);
    }
    return 0;
}
