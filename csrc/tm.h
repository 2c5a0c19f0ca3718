/* TM transfer frames (CCSDS 132.0-B-3) behind sync markers: from octets to space packets. */
#ifndef FLATSAT_TM_H
#define FLATSAT_TM_H

#include <stddef.h>
#include <stdint.h>

/* CFFI BEGIN */

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

/* CFFI END */

#endif
