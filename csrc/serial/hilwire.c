/* HILwire 1: fold and CRC around COBS frames. Each piece exists once: COBS and the search for the
 * delimiter are those of serial.c, the CRC is that of transfer frames. */
#include "hilwire.h"
#include "coding/crc.h"
#include "error.h"

#include <string.h>

enum { MAX_BODY = FS_HILWIRE_MOST - FS_HILWIRE_CHECK };

uint8_t fs_hilwire_fold(const uint8_t *body, size_t nbytes)
{
    uint32_t a = 1, b = 0;
    for (size_t i = 0; i < nbytes; i++)
        b += a += body[i];
    return (uint8_t)b;
}

/* --- bodies to frames ------------------------------------------------------------------------- */

static size_t enframe_one(const uint8_t *body, uint32_t nbytes, uint8_t *out)
{
    uint8_t content[FS_HILWIRE_MOST];
    uint64_t start = 0;
    uint32_t length = nbytes + FS_HILWIRE_CHECK;
    memcpy(content, body, nbytes);
    content[nbytes] = fs_hilwire_fold(body, nbytes);
    uint16_t crc = fs_crc16(content, nbytes + 1, 0xFFFF);
    content[nbytes + 1] = (uint8_t)crc;
    content[nbytes + 2] = (uint8_t)(crc >> 8);
    return (size_t)fs_enframe(FS_COBS, 0, 1, content, length, &start, &length, 1, out,
                              fs_enframe_capacity(FS_COBS, 0, length));
}

int64_t fs_hilwire_enframe(const uint8_t *buf, size_t nbytes, const uint64_t *offsets,
                           const uint32_t *lengths, size_t count, uint8_t *out, size_t capacity)
{
    size_t at = 0;
    if (count > capacity / FS_HILWIRE_LINE)
        return FS_E_CAPACITY;
    for (size_t i = 0; i < count; i++) {
        if (offsets[i] > nbytes || lengths[i] > nbytes - offsets[i])
            return FS_E_SHORT;
        if (lengths[i] < FS_HILWIRE_LEAST || lengths[i] > MAX_BODY)
            return FS_E_RANGE;
    }
    for (size_t i = 0; i < count; i++)
        at += enframe_one(buf + offsets[i], lengths[i], out + at);
    return (int64_t)at;
}

/* --- frames to bodies ------------------------------------------------------------------------- */

int64_t fs_hilwire_reset(fs_hilwire *rx, uint32_t max_nbytes)
{
    if (max_nbytes < FS_HILWIRE_LEAST + FS_HILWIRE_CHECK || max_nbytes > FS_HILWIRE_MOST)
        return FS_E_RANGE;
    memset(rx, 0, sizeof *rx);
    return fs_deframer_reset(&rx->line, FS_COBS, 0, max_nbytes, 1);
}

/* Whether content is a body with its check. */
static int is_good(fs_hilwire *rx, const uint8_t *content, size_t nbytes)
{
    if (nbytes < FS_HILWIRE_LEAST + FS_HILWIRE_CHECK)
        return 0;
    const uint8_t *crc = content + nbytes - 2;
    if ((crc[0] | crc[1] << 8) != fs_crc16(content, nbytes - 2, 0xFFFF))
        return 0;
    int same = content[nbytes - 3] == fs_hilwire_fold(content, nbytes - 3);
    rx->bad_folds += !same;
    return same;
}

/* Keep the rows whose check is good, without it, and count the others. Returns how many. */
static size_t sort_out(fs_hilwire *rx, fs_content_row *rows, size_t nrows, const uint8_t *out)
{
    size_t kept = 0;
    for (size_t i = 0; i < nrows; i++) {
        uint64_t nbytes = rows[i].nbytes, on_line = nbytes + 2; /* code and delimiter */
        if (is_good(rx, out + rows[i].offset, nbytes)) {
            rows[kept++] = (fs_content_row){rows[i].offset, nbytes - FS_HILWIRE_CHECK};
            continue;
        }
        rx->line.frames--;
        rx->line.bad_checks++;
        rx->line.good_octets -= on_line;
        rx->line.bad_octets += on_line;
    }
    return kept;
}

int64_t fs_hilwire_feed(fs_hilwire *rx, const uint8_t *in, size_t nbytes, uint64_t *consumed,
                        fs_content_row *rows, size_t nrows, uint8_t *out, size_t nout)
{
    uint64_t taken;
    const uint8_t *from = in;
    size_t had = rx->nheld, look = nbytes;
    if (had) { /* the unfinished frame and as much of the input as may belong to it */
        size_t room = sizeof rx->held - had;
        look = nbytes < room ? nbytes : room;
        memcpy(rx->held + had, in, look);
        from = rx->held;
    }
    *consumed = 0;
    int64_t found = fs_deframe(&rx->line, from, had + look, &taken, rows, nrows, out, nout);
    if (found < 0)
        return found;
    if (!taken) { /* no delimiter yet: all of it is unfinished, and shorter than the longest frame */
        if (!had && look)
            memcpy(rx->held, in, look);
        rx->nheld = (uint32_t)(had + look);
        *consumed = look;
        return 0;
    }
    *consumed = taken - had; /* what ends the unfinished frame stands in the input */
    rx->nheld = 0;
    return (int64_t)sort_out(rx, rows, (size_t)found, out);
}
