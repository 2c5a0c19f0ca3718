/* Reading a capture: chunk indexes to columns, the content of chunks to wire records and tables. */
#ifndef FLATSAT_MCAP_READ_H
#define FLATSAT_MCAP_READ_H

#include <stddef.h>
#include <stdint.h>

/* CFFI BEGIN */

/* What a Chunk Index record says of its chunk. */
typedef struct {
    uint64_t at;       /* of the Chunk record in the file */
    uint64_t length;   /* of the Chunk record with its head */
    uint64_t start_ns; /* log times, of the earliest and the latest message */
    uint64_t end_ns;
    uint64_t packed; /* octets as they lie in the file, and uncompressed */
    uint64_t size;
    uint64_t nmessages;
    uint64_t channels; /* bit (id mod 64) of each MCAP channel that has messages in it */
} fs_mcap_place;

/* Take a summary section apart: the chunk indexes go to places, the offsets of all other records to
 * others, as far as there is room; counts receives how many there are of both. Returns the number
 * of chunk indexes, FS_E_SHORT if the section ends inside a record, or FS_E_FORMAT for a chunk
 * index that contradicts itself. */
int64_t fs_mcap_summary(const uint8_t *buf, size_t nbytes, fs_mcap_place *places, size_t nplaces,
                        uint64_t *others, size_t nothers, uint64_t counts[2]);

/* Which messages of a chunk are wanted. sources has 65536 entries by MCAP channel: 0 for one that
 * is not known, else FS_MCAP_SKIP, FS_MCAP_RECORD for messages that are whole wire records, or
 * FS_MCAP_BARE for bare JSON, each with (kind << 8 | channel) of its records. */
typedef struct {
    const uint32_t *sources;
    uint64_t epoch_ns;
    uint64_t start_ns;  /* since the epoch, start_ns <= t_ns <= last_ns */
    uint64_t last_ns;
    int64_t least_step; /* from the sequence number of the chunk's first message */
} fs_mcap_choice;

/* What was seen in a chunk, wanted or not. */
typedef struct {
    uint64_t nmessages;
    uint64_t nstrange; /* messages of a channel that is not known: left out */
    uint64_t nrecords; /* written */
    uint64_t start_ns; /* log times, of the earliest and the latest message */
    uint64_t end_ns;
    uint64_t channels; /* as in fs_mcap_place */
    uint32_t first_seq;
    uint32_t last_seq;
} fs_mcap_seen;

/* Turn the content of a chunk back into wire records. Returns octets written, FS_E_SHORT if the
 * chunk ends inside a record, FS_E_FORMAT for a message that holds no whole wire record or bare
 * JSON above 4 GiB, FS_E_CHECK for one whose head says something else than its record, its channel
 * or the epoch, or FS_E_CAPACITY. */
int64_t fs_mcap_unpack(const uint8_t *chunk, size_t nbytes, const fs_mcap_choice *choice,
                       uint8_t *out, size_t capacity, fs_mcap_seen *seen);

/* The index entries of the messages in a chunk, for fs_mcap_index. Returns their number, FS_E_SHORT,
 * FS_E_FORMAT for a message without its head, FS_E_RANGE for one that begins behind 4 GiB, or
 * FS_E_CAPACITY. */
int64_t fs_mcap_entries(const uint8_t *chunk, size_t nbytes, fs_mcap_entry *entries,
                        size_t capacity);

/* One row of a table: the header of a wire record and where its payload stands. */
typedef struct {
    fs_record head;
    uint64_t offset;
} fs_wire_row;

/* Split the records in buf: headers to rows, payloads one behind the other to payload, which needs
 * nbytes - 32 * (number of records) octets; the first one stands at `base` of its column. Returns
 * the number of rows, FS_E_SHORT if buf ends inside a record, or FS_E_CAPACITY. */
int64_t fs_wire_table(const uint8_t *buf, size_t nbytes, uint64_t base, fs_wire_row *rows,
                      size_t nrows, uint8_t *payload, size_t capacity);

/* CFFI END */

/* What sources of fs_mcap_choice are made of */
#define FS_MCAP_SKIP 0x10000u   /* leave this channel out */
#define FS_MCAP_RECORD 0x20000u /* its messages are whole wire records */
#define FS_MCAP_BARE 0x30000u   /* they are the JSON payloads of such records */

_Static_assert(sizeof(fs_wire_row) == 40, "a row is the header and an offset");

#endif
