/* What a stream does with each chunk: from the units of frames, or the packets of a file, to a table
 * of packets with all that is known of them, and to the columns of those that a layout describes.
 *
 *     units -> packets -> headers -> error control -> sequence counts -> PUS headers -> rules
 *           -> columns
 *
 * fs_sift_take does all but the last, and then knows how much room the columns need;
 * fs_sift_columns fills them. Each is one call a chunk, however many packets and layouts there
 * are. */
#ifndef FLATSAT_SIFT_H
#define FLATSAT_SIFT_H

#include "columns/layout.h"
#include "link/frame.h"
#include "packet/packet.h"
#include "packet/pus.h"

/* CFFI BEGIN */

/* Which packets a layout describes; numbers of -1 take any. */
typedef struct {
    const fs_layout *layout; /* NULL: its size varies, and the caller decodes */
    uint8_t **columns;       /* room for a pointer to each field's column */
    int32_t apid;
    int32_t telecommand;
    int32_t vcid;
    int32_t service; /* this and the next only where PUS headers are read */
    int32_t subtype;
    uint32_t skip_nbytes; /* in front of the layout: from the packet's start, or from its PUS data */
    uint8_t longer;       /* octets may follow that the layout does not describe */
    uint64_t packets;      /* in all calls: that match */
    uint64_t wrong_length; /* of them, not the length of the layout, or less than skip_nbytes */
    uint64_t matched;      /* in the last call */
    uint64_t found;        /* of those, with the right length */
    uint64_t *rows;        /* of the last call, `found` of each: places in the table, */
    uint64_t *at;          /* where the layout begins in the buffer, */
    uint64_t *lengths;     /* and the octets that there are for it */
    uint64_t place;        /* of its block in the arena of fs_sift_columns */
    uint32_t hit;          /* in the first `hits` rules: which rule matched, in order */
} fs_sift_rule;

typedef struct {
    fs_packet_tracker *tracker;
    fs_sift_rule *rules;
    size_t nrules;
    const fs_pus_format *telemetry; /* NULL: PUS headers are not read */
    const fs_pus_format *commands;
    uint8_t error_control; /* packets end in their CRC, but for idle ones and those of no_check */
    uint8_t keep_idle;
    uint8_t no_check[256]; /* bit (apid & 7) of octet apid >> 3 */
    uint8_t has_pus[256];
    uint64_t packets; /* in all calls */
    uint64_t idle_packets;
    uint64_t bad_error_control;
    uint64_t no_pus_header; /* on an APID of has_pus */
    uint64_t hits;           /* in the last call: rules that matched */
    uint64_t others;         /* in the last call: units that are no packets */
    uint64_t columns_nbytes; /* in the last call: room that the columns of all rules need */
} fs_sift;

/* Octets of one row of the table: its columns stand one behind the other, each with room for
 * `capacity` elements (a multiple of 8), in this order:
 *     uint64_t offset, frame;  with PUS: int64_t t_ns, uint64_t data_offset
 *     uint32_t nbytes;         with PUS: uint32_t counter, party, data_nbytes
 *     uint16_t id, sequence, missing
 *     uint8_t good, verdict, vcid;  with PUS: uint8_t fault, status, service, subtype */
size_t fs_sift_row_nbytes(const fs_sift *sift);

/* Take what completes in a chunk: `units` of frames, or if that is null packets at `offsets`, whose
 * frame and channel are then 0. The table gets capacity * fs_sift_row_nbytes octets, `work`
 * 3 * nrules * capacity numbers. Returns rows; FS_E_CAPACITY for more units than capacity,
 * FS_E_SHORT if one ends behind buf, FS_E_FORMAT for a packet of another version, FS_E_RANGE for a
 * format or a window that is none: then nothing happened. */
int64_t fs_sift_take(fs_sift *sift, const uint8_t *buf, size_t nbytes, const fs_frame_row *units,
                     const uint64_t *offsets, size_t count, uint8_t *table, size_t capacity,
                     uint64_t *work);

/* Fill the columns of every rule that has a layout and found packets in the last call, of the same
 * buf. The rule's block begins `place` octets behind the arena's first multiple of 64: `found`
 * rows, and at the next multiple of 64 columns as fs_layout_spread puts them. Returns the octet of that first
 * multiple, or FS_E_CAPACITY if the arena has fewer than columns_nbytes behind it. */
int64_t fs_sift_columns(const fs_sift *sift, const uint8_t *buf, size_t nbytes, uint8_t *arena,
                        size_t narena);

/* CFFI END */

#endif
