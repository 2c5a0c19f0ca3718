/* The chain: however a stream is cut and on every tier, the same packets and the same counters; each
 * bit and each octet is counted once. Markers are put into the input, or none would be found. */
#include "chain_run.h"

enum { UNIT = 35 };

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
    same_on_all_tiers(&is, &of, stream, in.nbytes, chunk);
    free(stream);
    return 0;
}
