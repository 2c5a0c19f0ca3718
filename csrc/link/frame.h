/* Transfer frames of TM (CCSDS 132.0-B-3), AOS (732.0-B-4) and USLP (732.1-B-3): from whole frames,
 * without marker and randomiser, to packets and to the other units that virtual channels carry.
 *
 *     frame -> check (FECF, FHEC) -> header -> counts, gaps -> data field -> packets across frames
 *
 * A receiver belongs to one physical channel: frames of one kind, of one length unless they are of
 * USLP. What it needs for packets that go on in the next frame comes from the caller, one slot for
 * each channel that carries data (a virtual channel; for USLP, one MAP of it).
 *
 * Nothing is dropped without a count, and each octet given is counted once:
 *
 *     octets = refused_octets + what the slots hold
 *              + all channels' (overhead + packet + unit + idle + repeated + unaligned + lost)
 */
#ifndef FLATSAT_FRAME_H
#define FLATSAT_FRAME_H

#include <stddef.h>
#include <stdint.h>

/* CFFI BEGIN */

enum { FS_FRAME_TM, FS_FRAME_AOS, FS_FRAME_USLP };

enum {
    FS_FRAME_NBYTES = 65536,  /* of the longest frame */
    FS_FRAME_CHANNELS = 64,   /* virtual channels, at most */
    FS_FRAME_MAPS = 16,       /* of a virtual channel */
    FS_FRAME_UNIT_NBYTES = 65542, /* of the longest packet or other unit */
    FS_TM_FRAME_NBYTES = 2048,
    FS_TM_FRAME_MIN_NBYTES = 16,
};

/* What a virtual channel carries. */
enum {
    FS_SERVICE_STATED,    /* what each frame says; packets, where frames cannot say (AOS) */
    FS_SERVICE_BITSTREAM, /* B_PDUs of AOS */
    FS_SERVICE_OPAQUE,    /* the data field as it is: one unit a frame */
};

typedef struct {
    uint32_t nbytes; /* of every frame; of the longest one where they vary */
    int32_t scid;    /* spacecraft whose frames are taken, -1 for any */
    uint32_t insert_nbytes; /* of the insert zone (AOS, USLP) */
    uint32_t truncated_nbytes; /* of truncated frames, 0 if there are none (USLP) */
    uint8_t kind;      /* FS_FRAME_ */
    uint8_t fecf;      /* octets of the frame check: 0, 2, or 4 (USLP) */
    uint8_t ocf;       /* frames hold a control field; in TM and USLP their flag decides */
    uint8_t fhec;      /* headers have a check of their own (AOS) */
    uint8_t variable;  /* lengths of frames vary (USLP) */
    uint8_t keep_idle; /* give idle packets, too */
    uint8_t service[64]; /* FS_SERVICE_ of each virtual channel */
} fs_frame_settings;

/* What became of a frame. */
enum {
    FS_FRAME_TAKEN,
    FS_FRAME_BAD_FECF,
    FS_FRAME_BAD_FHEC,
    FS_FRAME_BAD_VERSION,
    FS_FRAME_BAD_LENGTH, /* its own length field contradicts */
    FS_FRAME_FOREIGN,    /* of another spacecraft */
};

/* What a row holds. */
enum {
    FS_UNIT_PACKET,        /* space packet */
    FS_UNIT_IDLE,          /* idle packet, when they are kept */
    FS_UNIT_ENCAPSULATION, /* encapsulation packet (133.1-B-3) */
    FS_UNIT_BITSTREAM,     /* bits of one B_PDU; `info` is how many */
    FS_UNIT_OPAQUE,        /* a data field as it is; `info` is the protocol in USLP */
    FS_UNIT_SDU,           /* MAPA or VCA unit of USLP; `info` is the protocol */
    FS_UNIT_OCTETS,        /* portion of an octet stream of USLP; `info` is the protocol */
    FS_UNIT_CONTROL,       /* protocol control commands of USLP; `info` is the protocol */
};

/* What happened on a channel since its unit before, or with this one. */
enum {
    FS_SINCE_START = 1,    /* nothing came before */
    FS_SINCE_FRAMES = 2,   /* frames are missing; `lost` says how many */
    FS_SINCE_RESTART = 4,  /* counts began anew */
    FS_SINCE_PIECE = 8,    /* a packet begun was lost */
    FS_SINCE_BROKEN = 16,  /* data was passed over that was no packet, or none could start */
    FS_SINCE_REPLAY = 32,  /* the frame says that it is a replay */
};

/* A unit found in frames: a packet, or what else its channel carries. */
typedef struct {
    uint64_t offset;      /* in the output */
    uint64_t first_frame; /* in which it begins: frames given to the receiver, from 0 */
    uint64_t frame;       /* in which it ends */
    uint32_t nbytes;
    uint32_t lost; /* frames of its virtual channel missing since the unit before */
    uint32_t info;
    uint8_t vcid;
    uint8_t map;
    uint8_t kind;  /* FS_UNIT_ */
    uint8_t since; /* FS_SINCE_ flags */
} fs_frame_row;

/* What a frame says and was found to be. */
enum {
    FS_FRAME_HAS_OCF = 1,
    FS_FRAME_HAS_SECONDARY = 2,
    FS_FRAME_REPLAY = 4,
    FS_FRAME_IDLE = 8,
    FS_FRAME_RESTART = 16,
    FS_FRAME_BACK = 32, /* its count lies behind the one before: sent again, or late */
    FS_FRAME_TRUNCATED = 64,
    FS_FRAME_BYPASS = 128,
    FS_FRAME_CONTROL = 256,
    FS_FRAME_CORRECTED = 512,    /* its header check corrected it */
    FS_FRAME_NO_SLOT = 1024,     /* its channel found no slot free */
    FS_FRAME_UNPACKETISED = 2048,
    FS_FRAME_BROKEN = 4096, /* its data field has no such form */
    FS_FRAME_DESTINATION = 8192, /* its spacecraft is the destination (USLP) */
    FS_FRAME_REPEATED = 16384, /* the frame before of its channel once more: gives nothing again */
};

typedef struct {
    uint64_t count; /* of its virtual channel; AOS: the cycle stands above the 24 bits */
    uint32_t lost;  /* frames of its virtual channel missing before it */
    uint32_t ocf;
    uint32_t data_at; /* where its data zone begins, and how long that is */
    uint32_t data_nbytes;
    uint32_t flags; /* FS_FRAME_HAS_OCF and below */
    uint32_t rows;  /* units that it completed */
    uint16_t scid;
    uint16_t pointer; /* as it stands in the frame */
    uint8_t vcid;
    uint8_t map;
    uint8_t mc_count;
    uint8_t verdict; /* FS_FRAME_TAKEN or why not; all else is then 0 or doubtful */
    uint32_t rule;     /* how the data zone is constructed (USLP) */
    uint32_t protocol; /* of the data zone (USLP) */
} fs_frame_info;

/* Counts of one virtual channel. Their sum over channels is what fs_frame_sum gives. */
typedef struct {
    uint64_t frames; /* good ones of this spacecraft */
    uint64_t vc_gaps;
    uint64_t vc_lost_frames;
    uint64_t back_frames;
    uint64_t repeated_frames; /* with count, first and last eight octets of the one before */
    uint64_t restarts_seen; /* counts that began anew at 0, which is no loss; TM counts them apart */
    uint64_t idle_frames;
    uint64_t replayed_frames;
    uint64_t unpacketised_frames;
    uint64_t truncated_frames;
    uint64_t control_frames;
    uint64_t broken_frames;  /* no room for a data field, or none of such a form */
    uint64_t no_slot_frames; /* of channels that were refused because no slot was free */
    uint64_t ocfs;
    uint64_t ocf_mismatches;
    uint64_t pointer_errors; /* pointers that contradict lengths */
    uint64_t bad_packets;    /* packets of a version or a length that cannot be */
    uint64_t oversize_units; /* longer than a slot */
    uint64_t packets;        /* space packets given */
    uint64_t idle_packets;
    uint64_t encapsulation_packets; /* given */
    uint64_t units;                 /* given, of other kinds */
    uint64_t packets_lost_pieces;   /* begun, whose end was lost */
    uint64_t overhead_octets; /* headers, insert zones, trailers, fill */
    uint64_t packet_octets;
    uint64_t unit_octets;
    uint64_t idle_octets;
    uint64_t repeated_octets;  /* data zones of repeated frames */
    uint64_t unaligned_octets; /* passed over until a packet starts */
    uint64_t lost_octets;      /* of packets whose end was lost, and of refused channels */
} fs_frame_counters;

typedef struct {
    uint64_t count[2];  /* of the last frame that had one; USLP counts expedited frames apart */
    uint8_t counted[2]; /* bits of that count, 0 before the first */
    uint64_t ends[2][2]; /* first and last octets of that frame */
    fs_frame_counters counters;
} fs_frame_channel;

/* A packet or another unit that goes on in the next frame of its channel. */
typedef struct {
    uint64_t first_frame;
    uint32_t npending;
    uint32_t lost;
    uint8_t vcid;
    uint8_t map;
    uint8_t since;
    uint8_t form;   /* of the data zones before; of portions, with the protocol */
    uint8_t locked; /* the next octet of data belongs to a known packet or begins one */
    uint8_t octets[65542];
} fs_frame_slot;

/* A receiver; fs_frame_reset gives the start state. */
typedef struct {
    fs_frame_settings settings;
    fs_frame_slot *slots;
    uint32_t nslots;
    uint32_t nused;
    uint64_t given;  /* frames */
    uint64_t octets; /* of them */
    uint64_t bad_fecf;
    uint64_t bad_fhec;
    uint64_t bad_version;
    uint64_t bad_length;
    uint64_t foreign_frames;
    uint64_t corrected_headers;
    uint64_t refused_octets; /* of frames not taken */
    uint64_t mc_gaps;        /* master channel: TM has a count for it */
    uint64_t mc_lost_frames;
    uint64_t restarts_seen;
    int32_t mc_count;  /* of the last frame, -1 before the first */
    uint32_t ocf_word; /* the last one; valid when ocfs is not 0 */
    uint64_t ocfs;
    uint16_t slot_of[1024]; /* by virtual channel and MAP, 0 for none, else its place + 1 */
    fs_frame_channel vc[64];
} fs_frame_receiver;

/* Where results go. Set the four upper fields; what is there is counted in the lower three. `infos`
 * can be NULL: no row for each frame. */
typedef struct {
    fs_frame_row *rows;
    uint8_t *octets;
    fs_frame_info *infos;
    size_t nrows, noctets, ninfos; /* capacities */
    size_t rows_used, octets_used, infos_used;
} fs_frame_sink;

/* Returns 0, or FS_E_RANGE for settings that cannot be. */
int64_t fs_frame_check(const fs_frame_settings *settings);

/* The same, and then begin anew with all counters at 0. The slots stay in use by the receiver. */
int64_t fs_frame_reset(fs_frame_receiver *rx, const fs_frame_settings *settings,
                       fs_frame_slot *slots, size_t nslots);

/* Room that one frame may need beyond what is used: rows and octets of a sink. */
size_t fs_frame_rows_room(const fs_frame_receiver *rx);
size_t fs_frame_octets_room(const fs_frame_receiver *rx);

/* Take one frame. Returns what became of it (FS_FRAME_TAKEN, ...), or, and then nothing was done,
 * FS_E_FORMAT for a wrong number of octets, FS_E_CAPACITY for a sink without the room above.
 * Octets behind the end of a frame whose length may vary are refused_octets. */
int64_t fs_frame_take(fs_frame_receiver *rx, const uint8_t *frame, size_t nbytes,
                      fs_frame_sink *to);

/* Take frames that begin every `stride` octets, until they or the room of the sink end. The stride
 * 0 is for frames of varying length, one behind the other. Returns how many were taken up, whatever
 * became of them; *consumed is where the next one begins. FS_E_RANGE for a stride that is shorter
 * than a frame, or 0 where all frames have one length. */
int64_t fs_frame_take_batch(fs_frame_receiver *rx, const uint8_t *frames, size_t nbytes,
                            size_t stride, uint64_t *consumed, fs_frame_sink *to);

/* Add the counts of all virtual channels. */
void fs_frame_sum(const fs_frame_receiver *rx, fs_frame_counters *sum);

/* Octets that slots hold of packets begun. */
uint64_t fs_frame_pending(const fs_frame_receiver *rx);

/* Error control of an AOS header (732.0-B-4 section 4.1.2.6): four symbols of RS(10,6) over GF(16)
 * for its first two octets and its signalling field. */
uint16_t fs_aos_fhec(uint16_t first, uint8_t signalling);

/* Check and correct octets 0, 1, 5, 6 and 7 of an AOS header. Returns how many symbols of four bits
 * it corrected, 0 to 2, or FS_E_CHECK and then nothing was changed. */
int64_t fs_aos_fhec_correct(uint8_t *header);

/* CFFI END */

#endif
