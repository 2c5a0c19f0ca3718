/* FlatSat codec: the one header of the C sources. Functions take (pointer, length) pairs, allocate
 * nothing, hold no globals, do no input or output, and return a count or a negative FS_E_ code.
 * What stands between the two marks is also what cffi reads: keep it free of directives and
 * inline code. */
#ifndef FLATSAT_H
#define FLATSAT_H

#include <stddef.h>
#include <stdint.h>

#define FS_E_SHORT (-1)    /* input ends inside a structure */
#define FS_E_RANGE (-2)    /* a value does not fit its field */
#define FS_E_CAPACITY (-3) /* output does not fit the buffer */
#define FS_E_FORMAT (-4)   /* a fixed field has a wrong value */
#define FS_E_CHECK (-5)    /* a checksum does not match */

#define FS_MCAP_SKIP 0xFFFF   /* sources of fs_mcap_unpack: leave this channel out */
#define FS_MCAP_RECORD 0xFFFE /* its messages are whole wire records */

/* CFFI BEGIN */

/* --- wire record: 32 octets, little-endian, then `length` octets of payload ------------------- */
typedef struct {
    uint8_t kind;         /* what the record is; first, so that a topic filter can match on it */
    uint8_t channel;      /* index in the rig's channel table */
    uint8_t flags;
    uint8_t status;       /* outcome of a transaction, 0 is good */
    uint32_t length;      /* octets of payload that follow */
    uint64_t t_ns;        /* virtual time of the start, nanoseconds since the mission epoch */
    uint64_t duration_ns; /* time that the transaction took on its bus */
    uint32_t seq;         /* sequence number: per sender on a link, global in a capture */
    uint32_t address;     /* I2C address, CAN identifier, GPIO line, SPI chip select */
} fs_record;

/* Walk the concatenated records in buf: offsets[i] is where record i starts. Returns the number of
 * whole records found (at most capacity), or FS_E_SHORT if buf ends inside a record. */
int64_t fs_wire_scan(const uint8_t *buf, size_t nbytes, uint64_t *offsets, size_t capacity);

/* --- codes over octets ------------------------------------------------------------------------ */

/* CRC-16 of x^16 + x^12 + x^5 + 1, most significant bit first; preset 0xFFFF for frames and
 * packets. Over contents and their CRC together it is 0. */
uint16_t fs_crc16(const uint8_t *buf, size_t nbytes, uint16_t init);

/* CRC-16 of `count` parts of buf. Returns count, or FS_E_SHORT, and then nothing was written. */
int64_t fs_crc16_batch(const uint8_t *buf, size_t nbytes, const uint64_t *offsets,
                       const uint32_t *lengths, size_t count, uint16_t init, uint16_t *out);

/* Pseudo-random sequences: telemetry with a period of 255 octets, telecommand, and telemetry with
 * a period of 131,071 octets. */
enum { FS_PN_TM = 0, FS_PN_TC = 1, FS_PN_TM17 = 2 };

/* The first octets of a sequence. Returns nbytes, or FS_E_RANGE for an unknown kind. */
int64_t fs_pn_fill(int32_t kind, uint8_t *out, size_t nbytes);

/* Exclusive-or the sequence over `count` units of nbytes each, from its start in every unit; in
 * and out may be the same. A unit has at most 2,048 octets, else FS_E_CAPACITY. Returns octets
 * written. */
int64_t fs_randomise(int32_t kind, const uint8_t *in, uint8_t *out, size_t nbytes, size_t count);

/* --- space packets ---------------------------------------------------------------------------- */
enum { FS_PACKET_NBYTES = 65542 }; /* of the longest packet */

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

/* --- telecommand channel coding --------------------------------------------------------------- */

/* Octets of the CLTU around nbytes of frame. */
size_t fs_cltu_nbytes(size_t nbytes);

/* Start sequence, codeblocks, tail. Returns octets written, FS_E_SHORT for no input, or
 * FS_E_CAPACITY. */
int64_t fs_cltu_encode(const uint8_t *in, size_t nbytes, uint8_t *out, size_t capacity);

/* Correct at most one wrong bit of a codeblock of 8 octets in place. Returns the number of bits
 * corrected, or FS_E_CHECK. */
int64_t fs_bch_correct(uint8_t *block);

/* A receiver of CLTUs; all zero at the start. The fields above the counters are its state. */
typedef struct {
    uint8_t data[4096]; /* octets of the unit, fill included; valid while ready */
    uint32_t nbytes;
    uint32_t ready; /* a unit has ended */
    uint32_t inside;
    uint32_t nheld;
    uint8_t held[8];
    uint64_t units;
    uint64_t empty_units; /* a start sequence with no codeblock behind it */
    uint64_t overlong_units;
    uint64_t tails;               /* units that ended with the tail sequence, unhurt */
    uint64_t rejected_codeblocks; /* units that ended with any other codeblock beyond correction */
    uint64_t codeblocks;
    uint64_t corrected_bits;
    uint64_t start_errors; /* start sequences taken with one wrong bit */
    uint64_t skipped_octets;
} fs_cltu_receiver;

/* Take octets until a unit ends (rx->ready is then 1) or the input does. Returns octets taken. */
int64_t fs_cltu_feed(fs_cltu_receiver *rx, const uint8_t *in, size_t nbytes);

/* --- TM transfer frames ----------------------------------------------------------------------- */
enum { FS_TM_FRAME_NBYTES = 2048, FS_TM_FRAME_MIN_NBYTES = 16 };

/* A virtual channel: the packet that is being assembled. */
typedef struct {
    int32_t count; /* of the last frame, -1 before the first */
    uint32_t npending;
    uint32_t locked; /* the next octet of data belongs to a known packet or begins one */
    uint8_t pending[65542];
} fs_tm_channel;

/* A receiver of TM frames; fs_tm_reset gives the start state. */
typedef struct {
    uint32_t nbytes; /* of a frame */
    int32_t scid;    /* -1 takes any */
    uint8_t ocf;     /* frames should hold an operational control field; their flag decides */
    uint8_t fecf;    /* frames end in a CRC */
    uint32_t distance; /* octets to the next marker, 65,535 when it can be anywhere */
    uint32_t excused;  /* octets ahead that belong to a frame already counted as bad */
    int32_t mc_count;  /* of the last frame, -1 before the first */
    uint32_t ocf_word; /* the last one; valid when ocfs is not 0 */
    uint64_t ocfs;
    uint64_t ocf_mismatches;
    uint64_t frames; /* good ones of this spacecraft */
    uint64_t bad_fecf;
    uint64_t bad_version;
    uint64_t foreign_frames;
    uint64_t marker_bit_errors;
    uint64_t skipped_octets;
    uint64_t mc_gaps;
    uint64_t mc_lost_frames;
    uint64_t vc_gaps;
    uint64_t vc_lost_frames;
    uint64_t restarts_seen; /* counts that began anew at 0, which is no loss */
    uint64_t idle_frames;
    uint64_t unpacketised_frames;
    uint64_t pointer_errors;   /* first header pointers that contradict packet lengths */
    uint64_t unaligned_octets; /* data passed over until a packet starts */
    uint64_t bad_packets;      /* packet version is not 0 */
    uint64_t packets;
    uint64_t idle_packets;
    uint64_t packets_lost_pieces; /* packets begun whose end was lost */
    fs_tm_channel vc[8];
} fs_tm_receiver;

/* A packet found in frames. */
typedef struct {
    uint32_t vcid;
    uint32_t nbytes;
    uint64_t offset; /* in the output */
} fs_packet_row;

/* Returns 0, or FS_E_RANGE for a frame length or spacecraft that cannot be. */
int64_t fs_tm_reset(fs_tm_receiver *rx, uint32_t nbytes, int32_t scid, uint8_t ocf, uint8_t fecf);

/* Take one frame without marker and randomiser. Returns the number of packets that it completed,
 * FS_E_CHECK for a wrong FECF, FS_E_FORMAT for a wrong length, or FS_E_CAPACITY: room is needed
 * for nbytes rows and for 65,542 octets beyond nbytes. */
int64_t fs_tm_frame(fs_tm_receiver *rx, const uint8_t *frame, size_t nbytes, fs_packet_row *rows,
                    size_t nrows, uint8_t *out, size_t nout);

/* Take octets with markers and randomised frames, until the input is used up or rows or out might
 * overflow. What is not consumed (less than a marker and a frame, once no call consumes more) must
 * stand in front of the next input. Returns the number of packets, or FS_E_CAPACITY when there is
 * not even room for one frame. */
int64_t fs_tm_feed(fs_tm_receiver *rx, const uint8_t *in, size_t nbytes, uint64_t *consumed,
                   fs_packet_row *rows, size_t nrows, uint8_t *out, size_t nout);

/* --- layouts: bit fields to and from values --------------------------------------------------- */
enum { FS_UINT = 0, FS_INT = 1, FS_FLOAT = 2 };

/* `count` elements of `width` bits (1 to 64; floats 32 or 64), one behind the other. */
typedef struct {
    uint32_t bit; /* of the first element, from the start of the packet */
    uint32_t count;
    uint8_t width;
    uint8_t kind;
    uint8_t size; /* octets of an element in a column: 1, 2, 4 or 8 */
    uint8_t swap; /* least significant octet first; width is a multiple of 8 */
} fs_field;

/* One packet to values: each element of the plan takes one slot, as uint64_t, int64_t or double.
 * Returns the number of slots. */
int64_t fs_layout_decode(const fs_field *plan, size_t nfields, const uint8_t *packet, size_t nbytes,
                         uint64_t *slots);

/* Values to one packet; slots as above, of any alignment. The packet holds its fixed octets, and
 * zeros where fields stand. Returns nbytes, or FS_E_RANGE, and then the packet must be thrown
 * away. */
int64_t fs_layout_encode(const fs_field *plan, size_t nfields, const uint8_t *slots,
                         uint8_t *packet, size_t nbytes);

/* Packets at `offsets`, or every `stride` octets when that is null, to one native-endian column a
 * field, packet after packet. Floats keep their bits. Returns count, or FS_E_SHORT if a packet ends
 * behind the buffer, and then nothing was written. */
int64_t fs_layout_decode_columns(const fs_field *plan, size_t nfields, size_t layout_nbytes,
                                 const uint8_t *buf, size_t nbytes, const uint64_t *offsets,
                                 size_t stride, size_t count, uint8_t *const *columns);

/* Columns to packets one behind the other; blank is a packet as for fs_layout_encode. Returns
 * count, FS_E_RANGE if a value does not fit its field, or FS_E_CAPACITY. */
int64_t fs_layout_encode_columns(const fs_field *plan, size_t nfields, const uint8_t *blank,
                                 size_t layout_nbytes, const uint8_t *const *columns, size_t count,
                                 uint8_t *out, size_t nbytes);

/* --- capture: wire records to and from the content of an MCAP chunk -----------------------------
 * A kind and channel of the rig is one MCAP channel. Its messages hold whole wire records; records
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
 * channel and before one that would lift a chunk that is not empty above soft_limit or does not
 * fit. Returns the number of records taken, or FS_E_SHORT if buf ends inside a record. */
int64_t fs_mcap_pack(const uint8_t *buf, size_t nbytes, const uint16_t *ids, uint64_t epoch_ns,
                     size_t soft_limit, uint8_t *chunk, size_t capacity, fs_mcap_entry *entries,
                     size_t entry_capacity, fs_mcap_chunk *state);

/* Write the Message Index records of a chunk, by ascending MCAP channel; counts and places have
 * nids entries and leave messages, and the end of the index, of each. Returns octets written, or
 * FS_E_RANGE for a channel that is not below nids, or FS_E_CAPACITY. */
int64_t fs_mcap_index(const fs_mcap_entry *entries, size_t nentries, uint32_t *counts,
                      uint64_t *places, size_t nids, uint8_t *out, size_t capacity);

/* Turn the content of a chunk back into wire records. sources has 65536 entries by MCAP channel:
 * 0xFFFF skips it, 0xFFFE takes its messages as wire records, any other value is the
 * (kind << 8 | channel) of bare JSON. Returns octets written, FS_E_SHORT if the chunk ends inside
 * a record, FS_E_FORMAT for a message without its head, or FS_E_CAPACITY. */
int64_t fs_mcap_unpack(const uint8_t *chunk, size_t nbytes, const uint16_t *sources,
                       uint64_t epoch_ns, uint8_t *out, size_t capacity);

/* CFFI END */

_Static_assert(sizeof(fs_record) == 32, "the wire record header is 32 octets");

#endif
