/* USLP frames of one length and of varying length: any frames, any settings. */
#include "frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    static const uint8_t CHECKS[16] = {2, 4};
    fuzz_input in = {data, nbytes};
    fs_frame_settings set;
    memset(&set, 0, sizeof set);
    set.kind = FS_FRAME_USLP;
    set.nbytes = 10 + (uint32_t)take(&in, 1) % 120;
    set.scid = take(&in, 1) % 4 ? -1 : (int32_t)take(&in, 2);
    set.ocf = take(&in, 1) & 1;
    set.variable = take(&in, 1) & 1;
    set.truncated_nbytes = (uint32_t)take(&in, 1) % 40;
    set.insert_nbytes = (uint32_t)take(&in, 1) % 12;
    set.keep_idle = take(&in, 1) & 1;
    set.service[take(&in, 1) & 63] = FS_SERVICE_OPAQUE;
    set.fecf = CHECKS[take(&in, 1) & 15];
    uint64_t slots = take(&in, 1) % 4, stride = take(&in, 1) % 3;
    fuzz_frames(&set, &in, slots, set.variable ? 0 : set.nbytes + stride);
    return 0;
}
