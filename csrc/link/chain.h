/* The whole way down: from octets off the air to packets, on bounded memory.
 *
 *     octets in any chunks -> marker -> unit, turned back, derandomised -> Reed-Solomon
 *                          -> frame -> packets
 *
 * A chain belongs to one physical channel. It is made of parts that work alone as well: the
 * synchroniser (sync.h), the code (rs.h) and the frame receiver (frame.h), which counts for itself.
 * With the counters here each bit is counted once:
 *
 *     8 * octets taken = bits of the synchroniser (sync.h)
 *     units * unit_nbytes = failed_octets + parity_octets + octets given to the frame receiver
 */
#ifndef FLATSAT_CHAIN_H
#define FLATSAT_CHAIN_H

#include "frame.h"
#include "coding/rs.h"
#include "sync.h"

/* CFFI BEGIN */

typedef struct {
    fs_sync_settings sync; /* its unit_nbits are set by fs_chain_reset */
    fs_rs_code rs;         /* e of 0: no code */
    int32_t randomiser;    /* FS_PN_ over the whole unit, -1: none */
} fs_chain_settings;

typedef struct {
    fs_chain_settings is;
    fs_sync sync;
    fs_frame_receiver *frames;
    uint8_t *pn;   /* NULL: none */
    uint8_t *unit; /* the unit at work */
    uint32_t unit_nbytes;
    uint32_t frame_nbytes;
    uint32_t rows_room; /* that a unit may need */
    uint32_t octets_room;
    uint32_t at; /* bits of the next octet that are done */
    uint64_t corrected_octets;
    uint64_t corrected_codewords;
    uint64_t failed_codewords;
    uint64_t fill_codewords; /* of those, refused because a correction fell into the virtual fill */
    uint64_t failed_units;   /* with a failed codeword: not given to the frame receiver */
    uint64_t failed_octets;  /* of their frames */
    uint64_t parity_octets;
} fs_chain;

/* Octets behind each marker: a Reed-Solomon block, or without a code a frame of frame_nbytes. */
size_t fs_chain_unit_nbytes(const fs_chain_settings *settings, size_t frame_nbytes);

/* Octets that a chain works in. */
size_t fs_chain_work_nbytes(const fs_chain_settings *settings, size_t frame_nbytes);

/* Begin in SEARCH with all counters at 0. `frames` was reset before; its frames have the length of
 * the code's data. Both it and `work` stay in use. Returns 0, FS_E_RANGE for settings that cannot
 * be or do not go together, FS_E_CAPACITY for too little room to work in. */
int64_t fs_chain_reset(fs_chain *chain, const fs_chain_settings *settings,
                       fs_frame_receiver *frames, uint8_t *work, size_t nwork);

/* Take octets until they are used up or the sink might overflow (see fs_frame_rows_room). What is
 * not consumed must stand in front of the next input; once no call consumes more it is less than a
 * marker, a unit, two octets and three slips. Returns the rows in the sink, or FS_E_CAPACITY when
 * there is not even room for one unit. */
int64_t fs_chain_feed(fs_chain *chain, const uint8_t *in, size_t nbytes, uint64_t *consumed,
                      fs_frame_sink *to);

/* CFFI END */

#endif
