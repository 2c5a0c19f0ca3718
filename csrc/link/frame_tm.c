/* TM transfer frames (CCSDS 132.0-B-3 section 4.1): header of six octets, secondary header, data
 * field, control field, frame check. */
#include "frame_kernels.h"

enum { HEADER = 6, NONE_STARTS = 0x7FF, ONLY_IDLE = 0x7FE };

/* The data field between `at` and `end`. */
static void read_zone(const fs_frame_settings *set, const uint8_t *frame, size_t at, size_t end,
                      fs_frame_parts *parts)
{
    uint32_t pointer = parts->raw_pointer;
    parts->data = frame + at;
    parts->ndata = end - at;
    parts->pointer = pointer == NONE_STARTS ? FS_NO_POINTER : pointer;
    if (frame[4] & 0x40 || set->service[parts->vcid] == FS_SERVICE_OPAQUE) {
        parts->zone = FS_ZONE_UNIT;
        parts->kind = FS_UNIT_OPAQUE;
        parts->flags |= FS_FRAME_UNPACKETISED;
    } else {
        parts->zone = pointer == ONLY_IDLE ? FS_ZONE_IDLE : FS_ZONE_PACKETS;
    }
}

int64_t fs_tm_parse(const fs_frame_settings *set, const uint8_t *frame, size_t nbytes,
                    fs_frame_parts *parts)
{
    if (frame[0] >> 6)
        return FS_FRAME_BAD_VERSION;
    parts->scid = (uint16_t)((frame[0] << 8 | frame[1]) >> 4 & 0x3FF);
    parts->vcid = frame[1] >> 1 & 7;
    parts->mc_count = frame[2];
    parts->count = frame[3];
    parts->mask = 0xFF;
    parts->raw_pointer = (uint16_t)((frame[4] & 7) << 8 | frame[5]);
    size_t at = HEADER, end = nbytes - set->fecf;
    if (frame[4] & 0x80) { /* secondary header: two bits of version, then octets - 1 */
        at += (size_t)(frame[HEADER] & 0x3F) + 1;
        parts->flags |= FS_FRAME_HAS_SECONDARY;
    }
    if (frame[1] & 1)
        end = fs_take_ocf(frame, HEADER, end, parts);
    if (at >= end)
        parts->zone = FS_ZONE_BROKEN;
    if (parts->zone != FS_ZONE_BROKEN)
        read_zone(set, frame, at, end, parts);
    return FS_FRAME_TAKEN;
}
