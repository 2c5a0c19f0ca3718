/* Space packets (CCSDS 133.0-B-2): the primary headers of a stream, as columns.
 *
 * Packets have no marker: the length of one is the only way to the next, so a walk is a chain of
 * loads, each waiting for the one before. In step the loop does nothing else. */
#include "flatsat.h"

#include <string.h>

enum { HEADER = 6 };

/* What to do with the octets at hand. */
enum { TAKE, SKIP, MORE };

static uint32_t packet_nbytes(const uint8_t *head)
{
    return (uint32_t)(head[4] << 8 | head[5]) + 7;
}

static void put(const fs_packet_columns *out, size_t n, uint64_t at, const uint8_t *head)
{
    out->offset[n] = at;
    out->nbytes[n] = packet_nbytes(head);
    out->id[n] = (uint16_t)(head[0] << 8 | head[1]);
    out->sequence[n] = (uint16_t)(head[2] << 8 | head[3]);
}

/* Fetch as many octets as the walk goes on, some way in front of it: where it goes is not known yet,
 * but it is not far from a straight line. What is behind the packets reads all of them anyway. */
static inline __attribute__((always_inline)) void fetch_ahead(const uint8_t *buf, size_t nbytes,
                                                              size_t at, size_t length)
{
    enum { LINE = 64, AHEAD = 2048, CACHES_NBYTES = 1 << 20 };
    if (nbytes < CACHES_NBYTES || nbytes - at < AHEAD + FS_PACKET_NBYTES)
        return;
    for (const uint8_t *line = buf + at + AHEAD, *end = line + length; line < end; line += LINE)
        __builtin_prefetch(line);
}

int64_t fs_packet_scan(const uint8_t *buf, size_t nbytes, const fs_packet_columns *out,
                       size_t capacity, uint64_t *consumed)
{
    const fs_packet_columns to = *out;
    size_t at = 0, n = 0;
    while (nbytes - at >= HEADER && n < capacity) {
        const uint8_t *head = buf + at;
        uint32_t length = packet_nbytes(head);
        if (head[0] >> 5) {
            *consumed = at;
            return FS_E_FORMAT;
        }
        if (nbytes - at < length)
            break;
        fetch_ahead(buf, nbytes, at, length);
        put(&to, n++, at, head);
        at += length;
    }
    *consumed = at;
    return (int64_t)n;
}

static int plausible(const fs_packet_finder *f, const uint8_t *head)
{
    uint32_t length = packet_nbytes(head), apid = (uint32_t)(head[0] & 7) << 8 | head[1];
    return !(head[0] >> 5) && length >= f->min_nbytes &&
           length <= (f->max_nbytes ? f->max_nbytes : FS_PACKET_NBYTES) &&
           (!f->listed || (f->apids[apid >> 3] >> (apid & 7) & 1));
}

/* Judge the unit (record header, packet, octets behind it) that may stand at `unit`. */
static int judge(const fs_packet_finder *f, const uint8_t *unit, size_t left, int32_t last)
{
    size_t frame = (size_t)f->before_nbytes + HEADER;
    const uint8_t *head = unit + f->before_nbytes;
    if (!plausible(f, head))
        return SKIP;
    size_t length = packet_nbytes(head), whole = f->before_nbytes + length + f->behind_nbytes;
    if (left < whole)
        return f->searching && last ? SKIP : MORE;
    if (!f->searching && !f->error_control)
        return TAKE;
    int known = left - whole >= frame, by_check = f->searching && f->error_control;
    if (known && !by_check && plausible(f, head + whole))
        return TAKE;
    if (f->error_control && !fs_crc16(head, length, 0xFFFF))
        return TAKE;
    if (known || by_check)
        return SKIP;
    return last ? TAKE : MORE;
}

/* Skip octets until something else is to be done with those that follow. */
static int search(fs_packet_finder *f, const uint8_t *buf, size_t nbytes, int32_t last, size_t *at)
{
    size_t from = *at, frame = (size_t)f->before_nbytes + HEADER;
    int what = SKIP;
    f->searches += !f->searching;
    f->searching = 1;
    while (what == SKIP && nbytes - ++*at >= frame)
        what = judge(f, buf + *at, nbytes - *at, last);
    f->skipped_octets += *at - from;
    return what == SKIP ? MORE : what;
}

/* At the end of the stream: the length of the last packet may be what is wrong. If something inside
 * of it is a packet by what is known of packets, go there. */
static int rescue(fs_packet_finder *f, const uint8_t *buf, size_t nbytes, size_t *at)
{
    fs_packet_finder trial = *f;
    size_t to = *at;
    if (f->searching || !(f->listed || f->error_control) ||
        search(&trial, buf, nbytes, 1, &to) != TAKE)
        return MORE;
    *f = trial;
    *at = to;
    return TAKE;
}

int64_t fs_packet_find(fs_packet_finder *finder, const uint8_t *buf, size_t nbytes, int32_t last,
                       const fs_packet_columns *out, size_t capacity, uint64_t *consumed)
{
    fs_packet_finder *f = finder;
    const fs_packet_columns to = *out;
    size_t at = 0, n = 0, frame = (size_t)f->before_nbytes + HEADER;
    while (n < capacity && nbytes - at >= frame) {
        int what = judge(f, buf + at, nbytes - at, last);
        if (what == SKIP)
            what = search(f, buf, nbytes, last, &at);
        if (what == MORE && last)
            what = rescue(f, buf, nbytes, &at);
        if (what == MORE)
            break;
        const uint8_t *head = buf + at + f->before_nbytes;
        size_t length = packet_nbytes(head);
        put(&to, n++, at + f->before_nbytes, head);
        f->searching = 0;
        f->packet_octets += length;
        at += f->before_nbytes + length + f->behind_nbytes;
    }
    if (last && f->searching && n < capacity) { /* fewer octets than a header */
        f->skipped_octets += nbytes - at;
        at = nbytes;
    }
    f->packets += n;
    f->record_octets += n * ((uint64_t)f->before_nbytes + f->behind_nbytes);
    *consumed = at;
    return (int64_t)n;
}

int64_t fs_packet_headers(const uint8_t *buf, size_t nbytes, const uint64_t *offsets, size_t count,
                          const fs_packet_columns *out)
{
    const fs_packet_columns to = *out;
    for (size_t i = 0; i < count; i++) {
        if (nbytes < HEADER || offsets[i] > nbytes - HEADER)
            return FS_E_SHORT;
        const uint8_t *head = buf + offsets[i];
        if (head[0] >> 5)
            return FS_E_FORMAT;
        if (packet_nbytes(head) > nbytes - offsets[i])
            return FS_E_SHORT;
        put(&to, i, offsets[i], head);
    }
    return (int64_t)count;
}

static int inside(size_t nbytes, const uint64_t *offsets, const uint32_t *lengths, size_t count)
{
    uint64_t outside = 0;
    for (size_t i = 0; i < count; i++)
        outside |= (uint64_t)(offsets[i] > nbytes) | (lengths[i] > nbytes - offsets[i]);
    return !outside;
}

int64_t fs_packet_check(const uint8_t *buf, size_t nbytes, const uint64_t *offsets,
                        const uint32_t *lengths, size_t count, uint8_t *ok)
{
    uint16_t crcs[512];
    int64_t right = 0;
    if (!inside(nbytes, offsets, lengths, count))
        return FS_E_SHORT;
    for (size_t i = 0; i < count; i += 512) {
        size_t n = count - i < 512 ? count - i : 512;
        fs_crc16_batch(buf, nbytes, offsets + i, lengths + i, n, 0xFFFF, crcs);
        for (size_t k = 0; k < n; k++) {
            ok[i + k] = !crcs[k];
            right += !crcs[k];
        }
    }
    return right;
}

int64_t fs_gather(const uint8_t *buf, size_t nbytes, const uint64_t *offsets,
                  const uint32_t *lengths, size_t count, uint8_t *out, size_t capacity)
{
    uint64_t total = 0;
    if (!inside(nbytes, offsets, lengths, count))
        return FS_E_SHORT;
    for (size_t i = 0; i < count; i++)
        total += lengths[i];
    if (total > capacity)
        return FS_E_CAPACITY;
    for (size_t i = 0; i < count; i++) {
        memcpy(out, buf + offsets[i], lengths[i]);
        out += lengths[i];
    }
    return (int64_t)total;
}
