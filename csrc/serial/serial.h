/* Framing for serial lines: COBS (Cheshire and Baker, 1999), SLIP (RFC 1055), HDLC with octet
 * stuffing (RFC 1662, ISO/IEC 13239 start/stop transmission). A frame's content is any octets; on
 * the line one octet, the delimiter, stands between frames and never inside one. */
#ifndef FLATSAT_SERIAL_H
#define FLATSAT_SERIAL_H

#include <stddef.h>
#include <stdint.h>

/* CFFI BEGIN */

enum { FS_COBS = 0, FS_SLIP = 1, FS_HDLC = 2 };

/* Room that content of nbytes takes at most on the line, with a delimiter on both sides. */
size_t fs_enframe_capacity(int32_t kind, uint32_t check, size_t nbytes);

/* Frames for `count` parts of buf, one behind the other. Each ends in the delimiter; with `lead` it
 * begins with one too. check: octets of frame check sequence that HDLC appends, 0, 2 or 4; 0 for
 * the others. Returns octets written, FS_E_RANGE for another kind or check, FS_E_SHORT if a part
 * ends behind buf, FS_E_CAPACITY if the sum of fs_enframe_capacity is not there: then nothing of
 * use was written. */
int64_t fs_enframe(int32_t kind, uint32_t check, int32_t lead, const uint8_t *buf, size_t nbytes,
                   const uint64_t *offsets, const uint32_t *lengths, size_t count, uint8_t *out,
                   size_t capacity);

/* A frame's content in the output. */
typedef struct {
    uint64_t offset;
    uint64_t nbytes;
} fs_content_row;

/* A receiver of frames; fs_deframer_reset gives the start state. Every octet taken in is counted
 * once: in good, bad or idle octets, delimiters with the frame that they end. */
typedef struct {
    int32_t kind;
    uint32_t check;
    uint32_t max_nbytes; /* of content */
    uint32_t skipping;   /* until the next delimiter */
    uint64_t scanned;    /* octets at the head of the next input that hold no delimiter */
    uint64_t frames;     /* good ones */
    uint64_t bad_frames; /* not what the encoding allows */
    uint64_t bad_checks; /* frame check sequence is wrong, or content is shorter than it */
    uint64_t aborted_frames; /* HDLC: escape in front of the delimiter */
    uint64_t overlong_frames;
    uint64_t good_octets;
    uint64_t bad_octets;
    uint64_t idle_octets; /* delimiters with nothing in front of them, and octets before the first */
} fs_deframer;

/* With `joined` the line may be in the middle of a frame: what stands before the first delimiter is
 * idle. Returns 0, or FS_E_RANGE for another kind, check, or content of 0 or above 2^24 octets. */
int64_t fs_deframer_reset(fs_deframer *rx, int32_t kind, uint32_t check, uint32_t max_nbytes,
                          int32_t joined);

/* Octets of output that fs_deframe must at least be given. */
size_t fs_deframer_room(const fs_deframer *rx);

/* Take octets until the input is used up or rows or out might overflow. What is not consumed (an
 * unfinished frame, once no call consumes more) must stand in front of the next input. Returns the
 * number of frames, or FS_E_CAPACITY when there is no room for one. */
int64_t fs_deframe(fs_deframer *rx, const uint8_t *in, size_t nbytes, uint64_t *consumed,
                   fs_content_row *rows, size_t nrows, uint8_t *out, size_t nout);

/* CFFI END */

#endif
