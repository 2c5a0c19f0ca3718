/* USLP transfer frames (CCSDS 732.1-B-3 section 4.1): header of 7 to 14 octets, or of 4 in a
 * truncated frame, insert zone, data field with its construction rule, control field, frame
 * check. */
#include "frame_kernels.h"

enum {
    TRUNCATED_HEADER = 4,
    HEADER = 7, /* without the count */
    VERSION = 12,
    IDLE_VCID = 63,
    ALL_ONES = 0xFFFF,
    PROTOCOL_PACKETS = 0,
    PROTOCOL_IDLE = 31,
};

/* Construction rules of the data zone, table 4-3. */
enum {
    RULE_PACKETS,     /* packets across frames, by pointer */
    RULE_SDU_BEGINS,  /* a unit that fills frames of one length, by last valid octet */
    RULE_SDU_GOES_ON,
    RULE_OCTETS,      /* portion of a stream */
    RULE_FIRST,       /* segments */
    RULE_CONTINUING,
    RULE_LAST,
    RULE_WHOLE,
};

size_t fs_uslp_nbytes(const fs_frame_settings *set, const uint8_t *frame, size_t nbytes)
{
    if (nbytes < TRUNCATED_HEADER)
        return 0;
    if (frame[3] & 1 && set->truncated_nbytes)
        return set->truncated_nbytes;
    return nbytes < HEADER ? 0 : (size_t)(frame[4] << 8 | frame[5]) + 1;
}

/* One unit, or a portion of one, in a zone of which the last `fill` octets say nothing. */
static void read_sdu(uint32_t rule, uint32_t pointer, fs_frame_parts *parts)
{
    parts->zone = FS_ZONE_SDU;
    parts->kind = parts->info == PROTOCOL_PACKETS ? FS_UNIT_PACKET : FS_UNIT_SDU;
    parts->begins = rule == RULE_SDU_BEGINS || rule == RULE_FIRST;
    parts->ends = rule == RULE_LAST || (rule <= RULE_SDU_GOES_ON && pointer != ALL_ONES);
    if (rule > RULE_SDU_GOES_ON || !parts->ends)
        return;
    if (pointer >= parts->ndata)
        parts->zone = FS_ZONE_BROKEN;
    else
        parts->ndata = pointer + 1;
}

static void read_unit(uint8_t kind, fs_frame_parts *parts)
{
    parts->zone = FS_ZONE_UNIT;
    parts->kind = kind;
    parts->flags |= FS_FRAME_UNPACKETISED;
}

/* The data field: rule and protocol, a pointer under the first three rules, the zone. */
static void read_field(const fs_frame_settings *set, const uint8_t *field, size_t nfield,
                       fs_frame_parts *parts)
{
    uint32_t rule = field[0] >> 5, pointer = ALL_ONES;
    size_t head = rule <= RULE_SDU_GOES_ON ? 3 : 1;
    parts->rule = (uint8_t)rule;
    parts->info = parts->protocol = field[0] & 31;
    if (nfield <= head || (parts->flags & FS_FRAME_TRUNCATED && rule != RULE_WHOLE)) {
        parts->zone = FS_ZONE_BROKEN;
        return;
    }
    if (head == 3)
        pointer = (uint32_t)(field[1] << 8 | field[2]);
    parts->raw_pointer = (uint16_t)pointer;
    parts->pointer = pointer == ALL_ONES ? FS_NO_POINTER : pointer;
    parts->data = field + head;
    parts->ndata = nfield - head;
    if (parts->vcid == IDLE_VCID || parts->info == PROTOCOL_IDLE)
        parts->zone = FS_ZONE_IDLE;
    else if (parts->flags & FS_FRAME_CONTROL)
        read_unit(FS_UNIT_CONTROL, parts);
    else if (set->service[parts->vcid] == FS_SERVICE_OPAQUE)
        read_unit(FS_UNIT_OPAQUE, parts);
    else if (rule == RULE_PACKETS && parts->info == PROTOCOL_PACKETS)
        parts->zone = FS_ZONE_PACKETS;
    else if (rule == RULE_PACKETS)
        read_unit(FS_UNIT_OPAQUE, parts);
    else if (rule == RULE_WHOLE && parts->info == PROTOCOL_PACKETS)
        parts->zone = FS_ZONE_WHOLE;
    else if (rule == RULE_WHOLE || rule == RULE_OCTETS)
        read_unit(rule == RULE_WHOLE ? FS_UNIT_SDU : FS_UNIT_OCTETS, parts);
    else
        read_sdu(rule, pointer, parts);
}

int64_t fs_uslp_parse(const fs_frame_settings *set, const uint8_t *frame, size_t nbytes,
                      fs_frame_parts *parts)
{
    size_t at = TRUNCATED_HEADER, end = nbytes - set->fecf;
    if (frame[0] >> 4 != VERSION)
        return FS_FRAME_BAD_VERSION;
    parts->scid = (uint16_t)((frame[0] << 12 & 0xF000) | frame[1] << 4 | frame[2] >> 4);
    parts->vcid = (uint8_t)((frame[2] << 3 & 0x38) | frame[3] >> 5);
    parts->map = frame[3] >> 1 & 15;
    parts->flags |= frame[2] & 8 ? FS_FRAME_DESTINATION : 0;
    if (frame[3] & 1) {
        parts->flags |= FS_FRAME_TRUNCATED;
    } else {
        size_t ncount = frame[6] & 7;
        at = HEADER + ncount;
        if (at >= end)
            return FS_FRAME_BAD_LENGTH;
        for (size_t i = 0; i < ncount; i++)
            parts->count = parts->count << 8 | frame[HEADER + i];
        parts->mask = ((uint64_t)1 << 8 * ncount) - 1;
        parts->lane = frame[6] >> 7;
        parts->flags |= frame[6] & 0x80 ? FS_FRAME_BYPASS : 0;
        parts->flags |= frame[6] & 0x40 ? FS_FRAME_CONTROL : 0;
        if (frame[6] & 8)
            end = fs_take_ocf(frame, at, end, parts);
        at += set->insert_nbytes;
    }
    if (at >= end)
        parts->zone = FS_ZONE_BROKEN;
    if (parts->zone != FS_ZONE_BROKEN)
        read_field(set, frame + at, end - at, parts);
    return FS_FRAME_TAKEN;
}
