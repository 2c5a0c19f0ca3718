/* Space packets (CCSDS 133.0-B-2): from a stream of octets to columns, one element a packet.
 *
 *     fs_packet_scan     headers of packets that stand one behind the other, or an error
 *     fs_packet_find     the same in a stream that may be damaged: skips, counts, goes on
 *     fs_packet_headers  the same columns of packets whose places are known
 *     fs_packet_check    packet error control
 *     fs_packet_track    sequence gaps, duplicates, restarts, counts per APID
 *     fs_packet_join     segmented packets put together
 *     fs_gather          parts of a buffer copied one behind the other
 *
 * Secondary headers of the packet utilisation standard are in pus.h. */
#ifndef FLATSAT_PACKET_H
#define FLATSAT_PACKET_H

#include <stddef.h>
#include <stdint.h>

/* CFFI BEGIN */

enum {
    FS_PACKET_MIN_NBYTES = 7,  /* of the shortest packet: header and one octet */
    FS_PACKET_NBYTES = 65542,  /* of the longest */
    FS_PACKET_KEYS = 4096,     /* sequence counts run for each packet type and APID */
    FS_PACKET_APID_IDLE = 2047,
};

/* Where the columns of a scan go; each holds as many elements as the scan's capacity. */
typedef struct {
    uint64_t *offset;
    uint32_t *nbytes;   /* of the whole packet */
    uint16_t *id;       /* first header word: version, type, secondary header flag, APID */
    uint16_t *sequence; /* second header word: sequence flags and count */
} fs_packet_columns;

/* Walk packets that stand one behind the other. Returns how many whole ones there are (at most
 * capacity), or FS_E_FORMAT at a version that is not 0; *consumed is where it stopped. */
int64_t fs_packet_scan(const uint8_t *buf, size_t nbytes, const fs_packet_columns *out,
                       size_t capacity, uint64_t *consumed);

/* How packets stand in a stream, where the search for them is, and what it met. Zeros are a good
 * start: any APID, any length, nothing between packets. Whatever the input, the octets consumed
 * are packet_octets + record_octets + skipped_octets. */
typedef struct {
    uint32_t before_nbytes; /* record header in front of each packet */
    uint32_t behind_nbytes; /* octets behind each packet */
    uint32_t min_nbytes;    /* no whole packet is shorter, 0: 7 */
    uint32_t max_nbytes;    /* nor longer, 0: 65,542 */
    uint8_t listed;         /* only APIDs whose bit is set in `apids` exist */
    uint8_t error_control;  /* packets end in their CRC: use it where the next header is wrong */
    uint8_t searching;      /* the last octets were no packet */
    uint8_t apids[256];     /* bit (apid & 7) of octet apid >> 3 */
    uint64_t packets;
    uint64_t packet_octets;
    uint64_t record_octets;  /* before and behind packets */
    uint64_t skipped_octets; /* that belong to no packet */
    uint64_t searches;       /* times that the place of the next packet was lost */
} fs_packet_finder;

/* Find packets. In step, a header is believed that has version 0, a possible length and an existing
 * APID. Else octets are skipped until one is found whose packet passes its error control or, if
 * there is none, is followed by another packet or by the end. With error control, a packet that
 * fails it and behind which no header stands is not believed either: its length may be wrong.
 * `last`: nothing follows the buffer. Returns packets; feed again from *consumed with more octets
 * behind it. What is left when `last` is set is the incomplete packet at the end; where APIDs or
 * error control tell packets apart, none was found inside of it. */
int64_t fs_packet_find(fs_packet_finder *finder, const uint8_t *buf, size_t nbytes, int32_t last,
                       const fs_packet_columns *out, size_t capacity, uint64_t *consumed);

/* Read the headers of packets at offsets, into the columns behind `offset`. Returns count, FS_E_FORMAT
 * at a version that is not 0, or FS_E_SHORT if a packet ends behind buf. */
int64_t fs_packet_headers(const uint8_t *buf, size_t nbytes, const uint64_t *offsets, size_t count,
                          const fs_packet_columns *out);

/* Packet error control (ECSS-E-ST-70-41C annex B) of whole packets: ok[i] is 1 where the CRC over
 * all of packet i is 0. Returns how many are right, or FS_E_SHORT if one ends behind buf; then
 * nothing was written. */
int64_t fs_packet_check(const uint8_t *buf, size_t nbytes, const uint64_t *offsets,
                        const uint32_t *lengths, size_t count, uint8_t *ok);

/* What a packet's sequence count says. */
enum {
    FS_SEQUENCE_NEXT = 0,      /* follows the one before, over the wrap from 16,383 to 0 too */
    FS_SEQUENCE_FIRST = 1,     /* nothing came before */
    FS_SEQUENCE_GAP = 2,       /* packets are missing in front of it */
    FS_SEQUENCE_DUPLICATE = 3, /* the count of the one before again */
    FS_SEQUENCE_LATE = 4,      /* up to `late_window` counts back: out of order or sent again */
    FS_SEQUENCE_RESTART = 5,   /* 0 out of turn: the sender began anew */
    FS_SEQUENCE_JUMP = 6,      /* further back: counting goes on from here */
    FS_SEQUENCE_IDLE = 7,      /* idle packets are not in sequence */
    FS_SEQUENCE_BAD = 8,       /* failed its error control: its count is not believed */
};

/* Of one packet type and APID. */
typedef struct {
    uint64_t packets;
    uint64_t octets; /* of all of them, headers included */
    uint64_t gaps;
    uint64_t lost; /* packets missing in the gaps; modulo 16,384 each */
    uint64_t duplicates;
    uint64_t late;
    uint64_t restarts;
    uint64_t jumps;
    uint64_t bad; /* in `packets` too */
    uint16_t count; /* last believed */
    uint16_t seen;
} fs_packet_channel;

typedef struct {
    uint32_t late_window; /* 0 to 8,191 */
    uint64_t met[64];     /* bit (key & 63) of number key >> 6: its channel is in use */
    fs_packet_channel channel[4096]; /* by key, type << 11 | APID; cleared when it is met */
} fs_packet_tracker;

/* Follow the sequence counts of packets, given by the columns id, sequence and nbytes; `ok` may be
 * null. `missing` gets the packets lost right in front of each, `verdict` what its count says.
 * A tracker begins with the late window, and zeros in `met`. Returns count, or FS_E_RANGE for a
 * window out of range. */
int64_t fs_packet_track(fs_packet_tracker *tracker, const fs_packet_columns *in, const uint8_t *ok,
                        size_t count, uint16_t *missing, uint8_t *verdict);

/* A group of segmented packets that is not complete yet. */
typedef struct {
    uint64_t number; /* of the group, since the start */
    uint32_t nbytes;
    uint32_t parts; /* 0: free */
    uint16_t id;
    uint16_t sequence; /* of the first part */
} fs_packet_slot;

/* Puts segmented packets together, on memory of the caller: `nslots` slots and nslots *
 * slot_nbytes octets. */
typedef struct {
    fs_packet_slot *slots;
    uint8_t *memory;
    uint32_t nslots;
    uint32_t slot_nbytes;      /* data of the longest group */
    uint32_t secondary_nbytes; /* of the header at the front of each part: kept of the first only */
    uint64_t begun;            /* groups: complete + interrupted + evicted + too_long + open */
    uint64_t complete;
    uint64_t interrupted; /* a part is missing, or another group began */
    uint64_t evicted;     /* the oldest, when a new one found all slots taken */
    uint64_t too_long;
    uint64_t parts_dropped; /* of groups that did not come to their end, and without a beginning */
    uint64_t unsegmented;
    uint64_t idle; /* packets: no unit comes of them */
    uint16_t open[4096]; /* slot + 1, by type << 11 | APID */
} fs_packet_joiner;

/* The data field of a packet (parts is 1; `offset` is in the input), or of a group (in `out`). */
typedef struct {
    uint64_t offset;
    uint32_t nbytes;
    uint32_t parts;
    uint16_t id;
    uint16_t sequence; /* of the first part */
} fs_packet_unit;

/* Take packets in order. Returns how many units are whole; *taken is how many packets were used:
 * less than count when units or out were full. FS_E_SHORT if a packet is shorter than 7 octets or
 * ends behind buf, FS_E_RANGE for a joiner without slots; then nothing happened. FS_E_CAPACITY if
 * out holds less than slot_nbytes. */
int64_t fs_packet_join(fs_packet_joiner *joiner, const uint8_t *buf, size_t nbytes,
                       const uint64_t *offsets, const uint32_t *lengths, size_t count,
                       fs_packet_unit *units, size_t nunits, uint8_t *out, size_t capacity,
                       uint64_t *taken);

/* Copy `count` parts of buf one behind the other; out overlaps neither buf nor the lists. Returns the
 * octets written, or FS_E_SHORT if a part ends behind buf, or FS_E_CAPACITY if they do not fit out;
 * then nothing was written. */
int64_t fs_gather(const uint8_t *buf, size_t nbytes, const uint64_t *offsets,
                  const uint32_t *lengths, size_t count, uint8_t *out, size_t capacity);

/* CFFI END */

#endif
