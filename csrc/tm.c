/* TM transfer frames (CCSDS 132.0-B-3) behind attached sync markers (131.0-B-5): from octets in
 * chunks of any size to space packets.
 *
 *     octets -> marker -> derandomise -> FECF -> header, counts -> data field -> packets
 *
 * The marker is looked for at octet boundaries. Right behind a frame it may hold up to three wrong
 * bits, because the frame check decides anyway. A frame that fails its check is searched for the
 * marker of the next one, so that octets lost inside it cost one frame and not two. */
#include "flatsat.h"

#include <string.h>

enum {
    MARKER_NBYTES = 4,
    MARKER_WRONG_BITS = 3,
    UNLOCKED = UINT16_MAX, /* distance to the next marker when it can be anywhere */
    HEADER = 6,
    POINTER_NONE = 0x7FF, /* no packet starts in this frame */
    POINTER_IDLE = 0x7FE, /* only idle data */
    APID_IDLE = 0x7FF,
};

static const uint8_t MARKER[MARKER_NBYTES] = {0x1A, 0xCF, 0xFC, 0x1D};

/* Where packets of one frame go. */
typedef struct {
    fs_packet_row *rows;
    uint8_t *octets;
    size_t nrows, nbytes;
} sink;

static uint32_t packet_nbytes(const uint8_t *head)
{
    return (uint32_t)(head[4] << 8 | head[5]) + 7;
}

static void drop_pending(fs_tm_receiver *rx, fs_tm_channel *vc)
{
    rx->packets_lost_pieces += vc->npending != 0;
    vc->npending = 0;
    vc->locked = 0;
}

/* Take octets of the packet that is being assembled. Returns how many; complete packets are left
 * in pending with npending at their length. */
static size_t gather(fs_tm_channel *vc, const uint8_t *data, size_t nbytes)
{
    size_t taken = 0;
    while (taken < nbytes) {
        size_t want = vc->npending < HEADER ? HEADER : packet_nbytes(vc->pending);
        if (vc->npending == want)
            break;
        size_t n = want - vc->npending < nbytes - taken ? want - vc->npending : nbytes - taken;
        memcpy(vc->pending + vc->npending, data + taken, n);
        vc->npending += (uint32_t)n;
        taken += n;
    }
    return taken;
}

static int complete(const fs_tm_channel *vc)
{
    return vc->npending >= HEADER && vc->npending == packet_nbytes(vc->pending);
}

static void emit(fs_tm_receiver *rx, uint32_t vcid, const uint8_t *packet, uint32_t nbytes,
                 sink *to)
{
    if (((packet[0] & 7) << 8 | packet[1]) == APID_IDLE) {
        rx->idle_packets++;
        return;
    }
    memcpy(to->octets + to->nbytes, packet, nbytes);
    to->rows[to->nrows++] = (fs_packet_row){vcid, nbytes, to->nbytes};
    to->nbytes += nbytes;
    rx->packets++;
}

/* Octets before the first header pointer continue the packet begun in an earlier frame. Returns 0
 * if pointer and packet length tell the same story; the packet begun is then emitted if it ends
 * here. */
static int continue_packet(fs_tm_receiver *rx, uint32_t vcid, const uint8_t *data, size_t ndata,
                           size_t pointer, sink *to)
{
    fs_tm_channel *vc = &rx->vc[vcid];
    if (!vc->npending)
        return pointer == 0 ? 0 : FS_E_FORMAT;
    size_t piece = pointer == POINTER_NONE ? ndata : pointer;
    size_t taken = gather(vc, data, piece);
    int ended = complete(vc);
    if (taken < piece || (pointer != POINTER_NONE && !ended))
        return FS_E_FORMAT;
    if (ended) {
        emit(rx, vcid, vc->pending, vc->npending, to);
        vc->npending = 0;
    }
    return 0;
}

static void extract(fs_tm_receiver *rx, uint32_t vcid, const uint8_t *data, size_t ndata,
                    size_t pointer, sink *to)
{
    fs_tm_channel *vc = &rx->vc[vcid];
    if (pointer != POINTER_NONE && pointer >= ndata) {
        rx->pointer_errors++;
        drop_pending(rx, vc);
        return;
    }
    if (vc->locked && continue_packet(rx, vcid, data, ndata, pointer, to) < 0) {
        rx->pointer_errors++;
        drop_pending(rx, vc);
    }
    size_t at = pointer == POINTER_NONE ? ndata : pointer;
    if (!vc->locked)
        rx->unaligned_octets += at;
    vc->locked |= pointer != POINTER_NONE;
    while (at < ndata) {
        const uint8_t *packet = data + at;
        if (packet[0] >> 5) {
            rx->bad_packets++;
            rx->unaligned_octets += ndata - at;
            vc->locked = 0;
            return;
        }
        size_t left = ndata - at;
        if (left < HEADER || left < packet_nbytes(packet)) {
            gather(vc, packet, left);
            return;
        }
        emit(rx, vcid, packet, packet_nbytes(packet), to);
        at += packet_nbytes(packet);
    }
}

/* How many frames are missing before count, modulo 256; remembers count. */
static uint32_t missing(int32_t *last, uint8_t count)
{
    uint32_t lost = *last < 0 ? 0 : (uint8_t)(count - (uint8_t)*last - 1);
    *last = count;
    return lost;
}

/* A sender that starts anew begins all counts at 0, and its reports of that come later. A jump to
 * a frame that is the first of master and virtual channel is taken for it: for a true loss to end
 * there is a chance of one in 65,536. Packets begun before are lost, the frames between are not
 * known. If that first frame is itself lost, the jump stays a loss. */
static void note_restart(fs_tm_receiver *rx)
{
    rx->restarts_seen++;
    rx->mc_count = UINT8_MAX;
    for (int i = 0; i < 8; i++) {
        drop_pending(rx, &rx->vc[i]);
        rx->vc[i].count = UINT8_MAX;
    }
}

static void count_frames(fs_tm_receiver *rx, fs_tm_channel *vc, const uint8_t *frame)
{
    int32_t mc_last = rx->mc_count, vc_last = vc->count;
    if (!frame[2] && !frame[3] && (missing(&mc_last, 0) || missing(&vc_last, 0)))
        note_restart(rx);
    uint32_t lost = missing(&rx->mc_count, frame[2]);
    rx->mc_gaps += lost != 0;
    rx->mc_lost_frames += lost;
    lost = missing(&vc->count, frame[3]);
    rx->vc_gaps += lost != 0;
    rx->vc_lost_frames += lost;
    if (lost)
        drop_pending(rx, vc);
}

/* One frame without marker and randomiser. Returns 0, or FS_E_CHECK if its FECF is wrong. */
static int take_frame(fs_tm_receiver *rx, const uint8_t *frame, sink *to)
{
    size_t end = rx->nbytes;
    if (rx->fecf) {
        if (fs_crc16(frame, end, 0xFFFF)) {
            rx->bad_fecf++;
            return FS_E_CHECK;
        }
        end -= 2;
    }
    uint32_t scid = (uint32_t)(frame[0] << 4 | frame[1] >> 4) & 0x3FF;
    uint32_t vcid = frame[1] >> 1 & 7;
    if (frame[0] >> 6) {
        rx->bad_version++;
        return 0;
    }
    if (rx->scid >= 0 && (uint32_t)rx->scid != scid) {
        rx->foreign_frames++;
        return 0;
    }
    rx->frames++;
    count_frames(rx, &rx->vc[vcid], frame);
    rx->ocf_mismatches += (frame[1] & 1) != rx->ocf;
    if (frame[1] & 1) {
        end -= 4;
        rx->ocf_word = (uint32_t)frame[end] << 24 | (uint32_t)frame[end + 1] << 16 |
                  (uint32_t)frame[end + 2] << 8 | frame[end + 3];
        rx->ocfs++;
    }
    size_t at = HEADER;
    if (frame[4] & 0x80) /* secondary header: two bits of version, then octets - 1 */
        at += (size_t)(frame[HEADER] & 0x3F) + 1;
    size_t pointer = (size_t)(frame[4] & 7) << 8 | frame[5];
    if (frame[4] & 0x40)
        rx->unpacketised_frames++;
    else if (pointer == POINTER_IDLE)
        rx->idle_frames++;
    else if (at < end)
        extract(rx, vcid, frame + at, end - at, pointer, to);
    return 0;
}

int64_t fs_tm_reset(fs_tm_receiver *rx, uint32_t nbytes, int32_t scid, uint8_t ocf, uint8_t fecf)
{
    if (nbytes < FS_TM_FRAME_MIN_NBYTES || nbytes > FS_TM_FRAME_NBYTES || scid > 0x3FF)
        return FS_E_RANGE;
    memset(rx, 0, offsetof(fs_tm_receiver, vc));
    rx->nbytes = nbytes;
    rx->scid = scid;
    rx->ocf = ocf;
    rx->fecf = fecf;
    rx->distance = UNLOCKED;
    rx->mc_count = -1;
    for (int i = 0; i < 8; i++) {
        rx->vc[i].count = -1;
        rx->vc[i].npending = 0;
        rx->vc[i].locked = 0;
    }
    return 0;
}

int64_t fs_tm_frame(fs_tm_receiver *rx, const uint8_t *frame, size_t nbytes, fs_packet_row *rows,
                    size_t nrows, uint8_t *out, size_t nout)
{
    sink to = {rows, out, 0, 0};
    if (nbytes != rx->nbytes)
        return FS_E_FORMAT;
    if (nout < FS_PACKET_NBYTES + nbytes || nrows < nbytes)
        return FS_E_CAPACITY;
    int error = take_frame(rx, frame, &to);
    return error ? error : (int64_t)to.nrows;
}

static int marker_errors(const uint8_t *at)
{
    int wrong = 0;
    for (int i = 0; i < MARKER_NBYTES; i++)
        wrong += __builtin_popcount(at[i] ^ MARKER[i]);
    return wrong;
}

/* First octet at or after `at` where a whole marker stands, or where one may yet begin. */
static size_t find_marker(const uint8_t *buf, size_t nbytes, size_t at)
{
    while (at + MARKER_NBYTES <= nbytes) {
        const uint8_t *hit = memchr(buf + at, MARKER[0], nbytes - at - MARKER_NBYTES + 1);
        if (!hit)
            return nbytes - MARKER_NBYTES + 1;
        at = (size_t)(hit - buf);
        if (!memcmp(hit, MARKER, MARKER_NBYTES))
            return at;
        at++;
    }
    return at;
}

/* Octets passed over are skipped, unless they belong to a frame that was already counted as bad. */
static void pass_over(fs_tm_receiver *rx, size_t n)
{
    size_t excused = n < rx->excused ? n : rx->excused;
    rx->excused -= (uint32_t)excused;
    rx->skipped_octets += n - excused;
    int near = rx->distance && rx->distance < UNLOCKED;
    rx->distance = near ? rx->distance - 1 : UNLOCKED;
}

int64_t fs_tm_feed(fs_tm_receiver *rx, const uint8_t *in, size_t nbytes, uint64_t *consumed,
                   fs_packet_row *rows, size_t nrows, uint8_t *out, size_t nout)
{
    uint8_t pn[FS_TM_FRAME_NBYTES], frame[FS_TM_FRAME_NBYTES];
    sink to = {rows, out, 0, 0};
    size_t unit = MARKER_NBYTES + rx->nbytes, at = 0;
    size_t room = FS_PACKET_NBYTES + rx->nbytes;
    if (rx->nbytes > sizeof frame || nout < room || nrows < rx->nbytes)
        return FS_E_CAPACITY;
    fs_pn_fill(FS_PN_TM, pn, rx->nbytes);
    while (nbytes - at >= MARKER_NBYTES && nout - to.nbytes >= room &&
           nrows - to.nrows >= rx->nbytes) {
        int wrong = marker_errors(in + at);
        if (wrong && (rx->distance || wrong > MARKER_WRONG_BITS)) {
            int near = rx->distance && rx->distance < UNLOCKED;
            size_t next = near ? at + 1 : find_marker(in, nbytes, at + 1);
            pass_over(rx, next - at);
            at = next;
            continue;
        }
        if (nbytes - at < unit)
            break;
        for (size_t i = 0; i < rx->nbytes; i++)
            frame[i] = in[at + MARKER_NBYTES + i] ^ pn[i];
        rx->marker_bit_errors += (uint64_t)wrong;
        size_t end = at + unit;
        at = take_frame(rx, frame, &to) ? find_marker(in, end, at + 1) : end;
        rx->distance = rx->excused = (uint32_t)(end - at);
    }
    *consumed = at;
    return (int64_t)to.nrows;
}
