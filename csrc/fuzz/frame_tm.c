/* TM frames: any frames, any settings. Each octet is accounted for, rows hold all that is given, and
 * every tier gives the same. */
#include "frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_input in = {data, nbytes};
    fs_frame_settings set;
    memset(&set, 0, sizeof set);
    set.kind = FS_FRAME_TM;
    set.nbytes = 8 + (uint32_t)take(&in, 1) % 120;
    set.scid = take(&in, 1) % 4 ? -1 : (int32_t)take(&in, 2) % 0x400;
    set.ocf = take(&in, 1) & 1;
    set.keep_idle = take(&in, 1) & 1;
    set.service[take(&in, 1) & 7] = FS_SERVICE_OPAQUE;
    set.fecf = take(&in, 1) % 8 ? 0 : 2;
    fuzz_frames(&set, &in, take(&in, 1) % 4, set.nbytes + take(&in, 1) % 3);
    return 0;
}
