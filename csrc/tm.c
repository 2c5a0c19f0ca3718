/* TM transfer frames behind attached sync markers (CCSDS 131.0-B-5): octets in chunks of any size.
 *
 *     octets -> marker -> derandomise -> frame layer
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
};

static const uint8_t MARKER[MARKER_NBYTES] = {0x1A, 0xCF, 0xFC, 0x1D};

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
static void pass_over(fs_tm_line *line, size_t n)
{
    size_t excused = n < line->excused ? n : line->excused;
    line->excused -= (uint32_t)excused;
    line->skipped_octets += n - excused;
    int near = line->distance && line->distance < UNLOCKED;
    line->distance = near ? line->distance - 1 : UNLOCKED;
}

static int has_room(const fs_frame_receiver *rx, const fs_frame_sink *to)
{
    return to->nrows - to->rows_used >= fs_frame_rows_room(rx) &&
           to->noctets - to->octets_used >= fs_frame_octets_room(rx);
}

int64_t fs_tm_feed(fs_tm_line *line, fs_frame_receiver *rx, const uint8_t *in, size_t nbytes,
                   uint64_t *consumed, fs_frame_sink *to)
{
    uint8_t pn[FS_TM_FRAME_NBYTES], frame[FS_TM_FRAME_NBYTES];
    size_t own = rx->settings.nbytes, unit = MARKER_NBYTES + own, at = 0;
    if (own > sizeof frame || !has_room(rx, to))
        return FS_E_CAPACITY;
    fs_pn_fill(FS_PN_TM, pn, own);
    while (nbytes - at >= MARKER_NBYTES && has_room(rx, to)) {
        int wrong = marker_errors(in + at);
        if (wrong && (line->distance || wrong > MARKER_WRONG_BITS)) {
            int near = line->distance && line->distance < UNLOCKED;
            size_t next = near ? at + 1 : find_marker(in, nbytes, at + 1);
            pass_over(line, next - at);
            at = next;
            continue;
        }
        if (nbytes - at < unit)
            break;
        for (size_t i = 0; i < own; i++)
            frame[i] = in[at + MARKER_NBYTES + i] ^ pn[i];
        line->marker_bit_errors += (uint64_t)wrong;
        size_t end = at + unit;
        int64_t verdict = fs_frame_take(rx, frame, own, to);
        at = verdict == FS_FRAME_BAD_FECF ? find_marker(in, end, at + 1) : end;
        line->distance = line->excused = (uint32_t)(end - at);
    }
    *consumed = at;
    return (int64_t)to->rows_used;
}
