/* TM transfer frames behind sync markers (CCSDS 131.0-B-5): from octets to space packets. */
#ifndef FLATSAT_TM_H
#define FLATSAT_TM_H

#include "frame.h"

/* CFFI BEGIN */

/* Where a stream of marked frames stands; all zeros but `distance`, 65,535, is the start. */
typedef struct {
    uint32_t distance; /* octets to the next marker, 65,535 when it can be anywhere */
    uint32_t excused;  /* octets ahead that belong to a frame already counted as bad */
    uint64_t marker_bit_errors;
    uint64_t skipped_octets;
} fs_tm_line;

/* Take octets with markers and randomised frames of at most 2,048 octets, until the input is used
 * up or the sink might overflow. What is not consumed (less than a marker and a frame, once no call
 * consumes more) must stand in front of the next input. Returns the rows in the sink, or
 * FS_E_CAPACITY when there is not even room for one frame. */
int64_t fs_tm_feed(fs_tm_line *line, fs_frame_receiver *rx, const uint8_t *in, size_t nbytes,
                   uint64_t *consumed, fs_frame_sink *to);

/* CFFI END */

#endif
