/* Capture: wire records to the content of an MCAP chunk; mcap_read.h has the way back. */
#ifndef FLATSAT_MCAP_H
#define FLATSAT_MCAP_H

#include <stddef.h>
#include <stdint.h>

/* CFFI BEGIN */

/* A kind and channel of the rig is one MCAP channel. Its messages hold whole wire records; records
 * of JSON whose flags, status and address are all 0 go to a second MCAP channel as bare JSON, so
 * that any MCAP tool can show them, and come back as they were. */

/* One message in a chunk. */
typedef struct {
    uint64_t time_ns; /* log time */
    uint32_t offset;  /* in the chunk, uncompressed */
    uint16_t id;      /* MCAP channel */
    uint16_t zero;
} fs_mcap_entry;

/* A chunk that is being filled. start_ns and end_ns hold once nentries is not 0. */
typedef struct {
    uint64_t consumed; /* octets of the last input that were taken */
    uint64_t used;     /* octets in the chunk */
    uint64_t nentries;
    uint64_t start_ns;
    uint64_t end_ns;
} fs_mcap_chunk;

/* Append the wire records in buf to the chunk as Message records. ids has 2 * 65536 entries: the
 * MCAP channel of records at (kind << 8 | channel), of bare JSON 65536 further on, 0 where none
 * was given yet. Stops early, with state->consumed < nbytes, before a record without an MCAP
 * channel and before one that would lift a chunk that is not empty above soft_limit, does not fit,
 * or begins behind 4 GiB, where an index cannot point. Returns the number of records taken, or
 * FS_E_SHORT if buf ends inside a record. */
int64_t fs_mcap_pack(const uint8_t *buf, size_t nbytes, const uint16_t *ids, uint64_t epoch_ns,
                     size_t soft_limit, uint8_t *chunk, size_t capacity, fs_mcap_entry *entries,
                     size_t entry_capacity, fs_mcap_chunk *state);

/* A chunk that is being filled, with all that it takes: one call a record, or a batch. */
typedef struct {
    const uint16_t *ids; /* see fs_mcap_pack, as what follows */
    uint64_t epoch_ns;
    uint64_t soft_limit;
    uint8_t *chunk;
    uint64_t capacity;
    fs_mcap_entry *entries;
    uint64_t entry_capacity;
    uint64_t records; /* appended so far, to this chunk and those before it */
    fs_mcap_chunk state;
} fs_mcap_filler;

/* Append wire records as fs_mcap_pack does. Returns the octets that were not taken, 0 in most cases,
 * or FS_E_SHORT if buf ends inside a record; whole records before that one are in the chunk. */
int64_t fs_mcap_fill(fs_mcap_filler *filler, const uint8_t *buf, size_t nbytes);

/* Write the Message Index records of a chunk, by ascending MCAP channel; counts and places have
 * nids entries and leave messages, and the end of the index, of each. Returns octets written, or
 * FS_E_RANGE for a channel that is not below nids or more messages than the format can index, or
 * FS_E_CAPACITY. */
int64_t fs_mcap_index(const fs_mcap_entry *entries, size_t nentries, uint32_t *counts,
                      uint64_t *places, size_t nids, uint8_t *out, size_t capacity);

/* CFFI END */

#endif
