/* Segmented packets: every packet ends in a unit, in a counter, or waits in a slot. */
#include "fuzz.h"

enum { PACKETS = 128, SLOTS = 3, SLOT_NBYTES = 24 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    static fs_packet_joiner j;
    fuzz_input in = {data, nbytes};
    uint64_t offsets[PACKETS], taken, parts = 0;
    uint32_t lengths[PACKETS];
    size_t n = 0;
    memset(&j, 0, sizeof j);
    j.secondary_nbytes = (uint32_t)take(&in, 1) & 7;
    size_t room = 1 + (take(&in, 1) & 3);
    for (size_t at = 0; n < PACKETS && in.nbytes - at > 8; n++) {
        offsets[n] = at;
        lengths[n] = 7 + in.data[at] % 16;
        lengths[n] = lengths[n] < in.nbytes - at ? lengths[n] : (uint32_t)(in.nbytes - at);
        at += lengths[n];
    }
    fs_packet_slot *slots = (fs_packet_slot *)exact(NULL, SLOTS * sizeof *slots);
    uint8_t *memory = exact(NULL, SLOTS * SLOT_NBYTES), *buf = exact(in.data, in.nbytes);
    uint8_t *out = exact(NULL, SLOT_NBYTES);
    fs_packet_unit *units = (fs_packet_unit *)exact(NULL, room * sizeof *units);
    j.slots = slots, j.memory = memory, j.nslots = SLOTS, j.slot_nbytes = SLOT_NBYTES;
    for (size_t at = 0; at < n; at += taken) {
        int64_t found = fs_packet_join(&j, buf, in.nbytes, offsets + at, lengths + at, n - at,
                                       units, room, out, SLOT_NBYTES, &taken);
        FS_MUST(found >= 0 && taken);
        for (int64_t i = 0; i < found; i++) {
            parts += units[i].parts;
            FS_MUST(units[i].offset + units[i].nbytes <=
                    (units[i].parts == 1 ? in.nbytes : SLOT_NBYTES));
        }
    }
    uint64_t open = 0, waiting = 0;
    for (size_t i = 0; i < SLOTS; i++) {
        open += slots[i].parts != 0;
        waiting += slots[i].parts;
        FS_MUST(slots[i].nbytes <= SLOT_NBYTES);
    }
    FS_MUST(n == parts + waiting + j.parts_dropped + j.idle);
    FS_MUST(j.begun == j.complete + j.interrupted + j.evicted + j.too_long + open);
    free(slots), free(memory), free(buf), free(out), free(units);
    return 0;
}
