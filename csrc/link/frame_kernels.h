/* What the files of the frame layer share: a frame taken apart, and where its data goes. */
#ifndef FLATSAT_FRAME_KERNELS_H
#define FLATSAT_FRAME_KERNELS_H

#include "flatsat.h"

/* How a data zone is to be read. */
enum {
    FS_ZONE_IDLE,
    FS_ZONE_PACKETS, /* packets across frames, by first header pointer */
    FS_ZONE_WHOLE,   /* packets that begin and end here */
    FS_ZONE_UNIT,    /* one unit: kind, info */
    FS_ZONE_SDU,     /* portion of a unit: begins, ends */
    FS_ZONE_BROKEN,
};

enum { FS_NO_POINTER = 0xFFFFFFFF }; /* no packet starts in this frame */

/* A frame taken apart. Data zone and overhead make up the whole frame. */
typedef struct {
    const uint8_t *data;
    size_t ndata;
    uint64_t count, mask; /* of its virtual channel; mask 0: no count */
    uint32_t pointer;     /* of the first packet, or FS_NO_POINTER */
    uint32_t info, ocf, flags;
    uint16_t raw_pointer, scid;
    uint8_t vcid, map, mc_count;
    uint8_t lane; /* which of the two counts of a channel */
    uint8_t zone, kind, begins, ends, rule, protocol;
} fs_frame_parts;

/* Where units of one channel come from and go to. */
typedef struct {
    fs_frame_receiver *rx;
    fs_frame_slot *slot;
    fs_frame_counters *n;
    const fs_frame_parts *parts;
    uint64_t number; /* of the frame */
    fs_frame_sink *to;
} fs_extraction;

/* Take apart one frame whose check was right. Return FS_FRAME_TAKEN or FS_FRAME_BAD_; never read
 * beyond nbytes. */
int64_t fs_tm_parse(const fs_frame_settings *set, const uint8_t *frame, size_t nbytes,
                    fs_frame_parts *parts);
int64_t fs_aos_parse(const fs_frame_settings *set, const uint8_t *frame, size_t nbytes,
                     fs_frame_parts *parts);
int64_t fs_uslp_parse(const fs_frame_settings *set, const uint8_t *frame, size_t nbytes,
                      fs_frame_parts *parts);

/* Octets of a USLP frame as its header tells, 0 if more than nbytes are needed to tell. */
size_t fs_uslp_nbytes(const fs_frame_settings *set, const uint8_t *frame, size_t nbytes);

/* Tell all slots of a virtual channel (-1: of all) that what they hold has lost its rest. */
void fs_slots_interrupt(fs_frame_receiver *rx, int vcid, uint8_t since, uint64_t lost);

/* Count a good frame of nbytes octets, and what its counts and flags say. Returns how many frames of
 * its virtual channel are missing before it. */
uint32_t fs_count_frame(fs_frame_receiver *rx, fs_frame_parts *parts, const uint8_t *frame,
                        size_t nbytes);

/* Forget the unit that a slot holds, and count it if there was one. */
void fs_slot_drop(fs_frame_slot *slot, fs_frame_counters *n);

/* Take the data zone of a frame. */
void fs_extract(const fs_extraction *ex);

/* The trailing control field, if the frame has one: returns where the data ends then. */
static inline size_t fs_take_ocf(const uint8_t *frame, size_t begin, size_t end,
                                 fs_frame_parts *parts)
{
    if (end < begin + 4) {
        parts->zone = FS_ZONE_BROKEN;
        return end;
    }
    const uint8_t *at = frame + end - 4;
    parts->ocf = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    parts->flags |= FS_FRAME_HAS_OCF;
    return end - 4;
}

#endif
