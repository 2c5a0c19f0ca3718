/* Marker search: every tier finds what the shift register finds, and stops where it stops. */
#include "fuzz.h"

enum { ROOM = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_input in = {data, nbytes};
    uint32_t nbits = 8 + (uint32_t)take(&in, 1) % 57, flags = (uint32_t)take(&in, 1);
    uint32_t wrong = (uint32_t)take(&in, 1) % ((nbits + 1) / 2), step = flags & 1 ? 8 : 1;
    size_t room = 1 + (size_t)take(&in, 1) % ROOM;
    uint64_t first = take(&in, 1), less = take(&in, 1);
    uint64_t marker = take(&in, 8) >> (64 - nbits);
    uint64_t end = 8 * (uint64_t)in.nbytes;
    end -= less < end ? less : end;
    uint8_t *buf = exact(in.data, in.nbytes);
    fs_marker_hit want[ROOM], got[ROOM];
    uint64_t want_to, got_to;
    int64_t n = fs_marker_search_plain(buf, in.nbytes, first, end, marker, nbits, wrong, step,
                                       flags >> 1 & 1, want, room, &want_to);
    FS_MUST(n >= 0);
    FOR_EACH_TIER(level) {
        FS_MUST(fs_marker_search(buf, in.nbytes, first, end, marker, nbits, wrong, step,
                                 flags >> 1 & 1, got, room, &got_to) == n);
        FS_MUST(got_to == want_to && !memcmp(got, want, (size_t)n * sizeof *got));
    }
    free(buf);
    return 0;
}
