/* Framing for serial lines: which octet ends a frame, what is checked, and what becomes of frames
 * that are not good. The encodings themselves are in cobs.c and stuff.c. */
#include "serial.h"
#include "error.h"
#include "coding/fcs.h"
#include "serial_kernels.h"
#include "tier.h"

#include <string.h>

enum { MAX_CONTENT = 1 << 24 };

static const stuffing STUFFINGS[] = {
    [FS_SLIP] = {0xC0, 0xDB, 0xDC, 0xDD, 0}, /* RFC 1055 */
    [FS_HDLC] = {0x7E, 0x7D, 0x5E, 0x5D, 1}, /* RFC 1662 section 4.2 */
};

static stuff_kernel *const STUFF[FS_TIERS] =
    FS_KERNELS(stuff_portable, stuff_portable, stuff_avx2, stuff_avx512, stuff_neon, stuff_neon);
static unstuff_kernel *const UNSTUFF[FS_TIERS] = FS_KERNELS(
    unstuff_portable, unstuff_portable, unstuff_portable, unstuff_avx512, unstuff_neon,
               unstuff_neon);
static cobs_kernel *const COBS[FS_TIERS] =
    FS_KERNELS(cobs_portable, cobs_portable, cobs_avx2, cobs_avx512, cobs_neon, cobs_neon);
static int known(int32_t kind, uint32_t check)
{
    if (kind == FS_HDLC)
        return check == 0 || check == 2 || check == 4;
    return (kind == FS_COBS || kind == FS_SLIP) && check == 0;
}

/* --- content to frames ------------------------------------------------------------------------ */

static size_t body_capacity(int32_t kind, uint32_t check, size_t nbytes)
{
    return kind == FS_COBS ? nbytes + nbytes / 254 + 1 : 2 * (nbytes + check);
}

size_t fs_enframe_capacity(int32_t kind, uint32_t check, size_t nbytes)
{
    return body_capacity(kind, check, nbytes) + 2;
}

static size_t append_check(const stuffing *code, uint32_t check, const uint8_t *content,
                           size_t nbytes, uint8_t *out)
{
    uint32_t value = check == 2 ? fcs16(content, nbytes) : fcs32(content, nbytes);
    uint8_t octets[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
                         (uint8_t)(value >> 24)};
    return stuff_portable(code, octets, check, out);
}

int64_t fs_enframe(int32_t kind, uint32_t check, int32_t lead, const uint8_t *buf, size_t nbytes,
                   const uint64_t *offsets, const uint32_t *lengths, size_t count, uint8_t *out,
                   size_t capacity)
{
    size_t room = 0, at = 0;
    if (!known(kind, check))
        return FS_E_RANGE;
    for (size_t i = 0; i < count; i++) {
        if (offsets[i] > nbytes || lengths[i] > nbytes - offsets[i])
            return FS_E_SHORT;
        room += fs_enframe_capacity(kind, check, lengths[i]);
        if (room > capacity)
            return FS_E_CAPACITY;
    }
    stuff_kernel *stuff = STUFF[fs_tier()];
    cobs_kernel *cobs = COBS[fs_tier()];
    const stuffing *code = &STUFFINGS[kind == FS_COBS ? FS_SLIP : kind];
    uint8_t delimiter = kind == FS_COBS ? 0 : code->flag;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *content = buf + offsets[i];
        if (lead)
            out[at++] = delimiter;
        at += kind == FS_COBS ? cobs(content, lengths[i], out + at)
                              : stuff(code, content, lengths[i], out + at);
        if (check)
            at += append_check(code, check, content, lengths[i], out + at);
        out[at++] = delimiter;
    }
    return (int64_t)at;
}

/* --- frames to content ------------------------------------------------------------------------ */

/* Turn raw (a COBS frame) into content. out holds raw + 1 already. Returns octets of content, or
 * FS_E_FORMAT if the last code points behind the frame. */
static int64_t follow_codes(const uint8_t *raw, size_t nraw, uint8_t *out)
{
    size_t at = raw[0], to = at - 1; /* of the next code, and where its zero goes */
    int full = raw[0] == 255;
    while (at < nraw) {
        size_t piece = raw[at], from = at + 1;
        if (piece > nraw - at)
            return FS_E_FORMAT;
        if (!full)
            out[to++] = 0;
        if (to != at) /* a full run moved everything behind it */
            memmove(out + to, raw + from, piece - 1);
        to += piece - 1;
        at += piece;
        full = piece == 255;
    }
    return at == nraw ? (int64_t)to : FS_E_FORMAT;
}

static int check_matches(uint32_t check, const uint8_t *content, size_t nbytes)
{
    if (nbytes <= check)
        return 0;
    const uint8_t *sent = content + nbytes - check;
    uint32_t value = check == 2 ? fcs16(content, nbytes - 2) : fcs32(content, nbytes - 4);
    uint32_t said = (uint32_t)sent[0] | (uint32_t)sent[1] << 8;
    if (check == 4)
        said |= (uint32_t)sent[2] << 16 | (uint32_t)sent[3] << 24;
    return said == value;
}

int64_t fs_deframer_reset(fs_deframer *rx, int32_t kind, uint32_t check, uint32_t max_nbytes,
                          int32_t joined)
{
    if (!known(kind, check) || !max_nbytes || max_nbytes > MAX_CONTENT)
        return FS_E_RANGE;
    memset(rx, 0, sizeof *rx);
    rx->kind = kind;
    rx->check = check;
    rx->max_nbytes = max_nbytes;
    rx->skipping = joined ? 2 : 0;
    return 0;
}

size_t fs_deframer_room(const fs_deframer *rx)
{
    return body_capacity(rx->kind, rx->check, rx->max_nbytes) + 1;
}

/* Count what a frame of nraw octets came to; its delimiter belongs to it. Returns whether the
 * content (or error) is that of a good frame. */
static int judge(fs_deframer *rx, const uint8_t *raw, size_t nraw, int64_t content,
                 const uint8_t *out)
{
    uint64_t *counter = &rx->frames;
    if (content < 0 && rx->kind == FS_HDLC && raw[nraw - 1] == STUFFINGS[FS_HDLC].escape)
        counter = &rx->aborted_frames;
    else if (content < 0)
        counter = &rx->bad_frames;
    else if ((uint64_t)content > (uint64_t)rx->max_nbytes + rx->check)
        counter = &rx->overlong_frames;
    else if (rx->check && !check_matches(rx->check, out, (size_t)content))
        counter = &rx->bad_checks;
    ++*counter;
    *(counter == &rx->frames ? &rx->good_octets : &rx->bad_octets) += nraw + 1;
    return counter == &rx->frames;
}

/* Octets in front of the next delimiter, or nbytes. */
static size_t find(uint8_t delimiter, const uint8_t *in, size_t nbytes, size_t from)
{
    const uint8_t *hit = from < nbytes ? memchr(in + from, delimiter, nbytes - from) : NULL;
    return hit ? (size_t)(hit - in) : nbytes;
}

/* Pass over the rest of a frame that is too long, or that was joined in the middle. Returns octets
 * taken, the delimiter included. */
static size_t skip(fs_deframer *rx, uint8_t delimiter, const uint8_t *in, size_t nbytes)
{
    size_t end = find(delimiter, in, nbytes, 0), ended = end < nbytes;
    *(rx->skipping == 2 ? &rx->idle_octets : &rx->bad_octets) += end + ended;
    if (ended)
        rx->skipping = 0;
    return end + ended;
}

/* One frame, or none, at the head of the input. Returns octets taken; 0 asks for more input. */
static size_t take(fs_deframer *rx, const uint8_t *in, size_t nbytes, uint8_t *out,
                   int64_t *content)
{
    const stuffing *code = &STUFFINGS[rx->kind == FS_COBS ? FS_SLIP : rx->kind];
    uint8_t delimiter = rx->kind == FS_COBS ? 0 : code->flag;
    size_t longest = fs_deframer_room(rx) - 1, end;
    *content = FS_E_SHORT;
    if (rx->skipping)
        return skip(rx, delimiter, in, nbytes);
    size_t look = nbytes > longest + 1 ? longest + 1 : nbytes;
    end = find(delimiter, in, look, rx->scanned);
    if (end == look && look <= longest) {
        rx->scanned = look;
        return 0;
    }
    rx->scanned = 0;
    if (end == look) {
        rx->overlong_frames++;
        rx->skipping = 1;
        rx->bad_octets += look;
        return look;
    }
    if (!end) {
        rx->idle_octets++;
        return 1;
    }
    if (rx->kind == FS_COBS)
        memcpy(out, in + 1, end - 1);
    *content = rx->kind == FS_COBS ? follow_codes(in, end, out)
                                   : UNSTUFF[fs_tier()](code, in, end, out);
    if (!judge(rx, in, end, *content, out))
        *content = FS_E_SHORT;
    return end + 1;
}

int64_t fs_deframe(fs_deframer *rx, const uint8_t *in, size_t nbytes, uint64_t *consumed,
                   fs_content_row *rows, size_t nrows, uint8_t *out, size_t nout)
{
    size_t room = fs_deframer_room(rx), at = 0, n = 0, used = 0;
    if (!nrows || nout < room)
        return FS_E_CAPACITY;
    while (at < nbytes && n < nrows && nout - used >= room) {
        int64_t content;
        size_t taken = take(rx, in + at, nbytes - at, out + used, &content);
        if (!taken)
            break;
        at += taken;
        if (content >= 0) {
            size_t length = (size_t)content - rx->check;
            rows[n++] = (fs_content_row){used, length};
            used += length;
        }
    }
    *consumed = at;
    return (int64_t)n;
}
