#include "flatsat.h"
#include "record/mcap_format.h"

#include <string.h>

static uint16_t get16(const uint8_t *from)
{
    uint16_t value;
    memcpy(&value, from, sizeof value);
    return value;
}

static uint32_t get32(const uint8_t *from)
{
    uint32_t value;
    memcpy(&value, from, sizeof value);
    return value;
}

static uint64_t get64(const uint8_t *from)
{
    uint64_t value;
    memcpy(&value, from, sizeof value);
    return value;
}

/* Content of a Chunk Index: u64 earliest and latest time, u64 offset and length of the chunk, u32
 * octets of a map from u16 channel to u64 offset of its message index, that map, u64 octets of all
 * message indexes, string compression, u64 compressed and u64 uncompressed octets. */
enum { TIMES_AND_PLACE = 4 * 8, MAP_ENTRY = 2 + 8, INDEX_TAIL = 8 + 4 + 8 + 8 };

static int take_chunk_index(const uint8_t *from, size_t nbytes, fs_mcap_place *place)
{
    if (nbytes < TIMES_AND_PLACE + 4)
        return FS_E_FORMAT;
    *place = (fs_mcap_place){.start_ns = get64(from), .end_ns = get64(from + 8)};
    place->at = get64(from + 16);
    place->length = get64(from + 24);
    size_t nmap = get32(from + TIMES_AND_PLACE);
    const uint8_t *map = from + TIMES_AND_PLACE + 4;
    nbytes -= TIMES_AND_PLACE + 4;
    if (nbytes < INDEX_TAIL || nmap > nbytes - INDEX_TAIL || nmap % MAP_ENTRY)
        return FS_E_FORMAT;
    for (size_t i = 0; i < nmap; i += MAP_ENTRY)
        place->channels |= 1ull << (get16(map + i) & 63);
    const uint8_t *tail = map + nmap;
    size_t nname = get32(tail + 8);
    if (nname != nbytes - INDEX_TAIL - nmap)
        return FS_E_FORMAT;
    uint64_t nheads = INDEX_HEAD * (uint64_t)(nmap / MAP_ENTRY), nindex = get64(tail);
    if (nindex < nheads || (nindex - nheads) % ENTRY || (nindex && !nmap))
        return FS_E_FORMAT; /* also messages of no channel, which nobody would look for */
    place->nmessages = (nindex - nheads) / ENTRY;
    place->packed = get64(tail + 12 + nname);
    place->size = get64(tail + 20 + nname);
    return 0;
}

int64_t fs_mcap_summary(const uint8_t *buf, size_t nbytes, fs_mcap_place *places, size_t nplaces,
                        uint64_t *others, size_t nothers, uint64_t counts[2])
{
    counts[0] = counts[1] = 0;
    for (size_t at = 0; at < nbytes;) {
        if (nbytes - at < RECORD_HEAD || get64(buf + at + 1) > nbytes - at - RECORD_HEAD)
            return FS_E_SHORT;
        size_t length = get64(buf + at + 1);
        if (buf[at] == OP_CHUNK_INDEX) {
            fs_mcap_place place;
            if (take_chunk_index(buf + at + RECORD_HEAD, length, &place) < 0)
                return FS_E_FORMAT;
            if (counts[0] < nplaces)
                places[counts[0]] = place;
            counts[0]++;
        } else {
            if (counts[1] < nothers)
                others[counts[1]] = at;
            counts[1]++;
        }
        at += RECORD_HEAD + length;
    }
    return (int64_t)counts[0];
}

/* The next Message at or behind *at, or NULL at the end of the chunk or, with *at < nbytes, where
 * it is cut. */
static const uint8_t *next_message(const uint8_t *chunk, size_t nbytes, size_t *at, size_t *length)
{
    while (*at < nbytes) {
        if (nbytes - *at < RECORD_HEAD || get64(chunk + *at + 1) > nbytes - *at - RECORD_HEAD)
            return NULL;
        const uint8_t *record = chunk + *at;
        *length = get64(record + 1);
        *at += RECORD_HEAD + *length;
        if (record[0] == OP_MESSAGE)
            return record;
    }
    return NULL;
}

/* The head of the wire record that a message holds; returns octets of head in front of the data
 * that the record still needs, or an error. */
static int64_t wire_head(const uint8_t *message, size_t ndata, uint32_t source, uint64_t epoch_ns,
                         fs_record *head)
{
    uint32_t seq = get32(message + RECORD_HEAD + 2);
    uint64_t log_ns = get64(message + RECORD_HEAD + 6);
    uint64_t t_ns = log_ns - epoch_ns, duration_ns = get64(message + RECORD_HEAD + 14) - log_ns;
    uint8_t kind = (uint8_t)(source >> 8), channel = (uint8_t)source;
    if ((source & ~0xFFFFu) == FS_MCAP_BARE) {
        if (ndata > UINT32_MAX)
            return FS_E_FORMAT;
        *head = (fs_record){.kind = kind, .channel = channel, .length = (uint32_t)ndata};
        head->t_ns = t_ns;
        head->duration_ns = duration_ns;
        head->seq = seq;
        return sizeof *head;
    }
    if (ndata < sizeof *head)
        return FS_E_FORMAT;
    memcpy(head, message + MESSAGE_HEAD, sizeof *head);
    if (head->length != ndata - sizeof *head)
        return FS_E_FORMAT;
    if (head->seq != seq || head->t_ns != t_ns || head->duration_ns != duration_ns ||
        head->kind != kind || head->channel != channel)
        return FS_E_CHECK;
    return 0;
}

static void see(fs_mcap_seen *seen, const uint8_t *message)
{
    uint64_t log_ns = get64(message + RECORD_HEAD + 6);
    seen->last_seq = get32(message + RECORD_HEAD + 2);
    if (seen->nmessages == 0)
        seen->first_seq = seen->last_seq;
    if (seen->nmessages == 0 || log_ns < seen->start_ns)
        seen->start_ns = log_ns;
    if (seen->nmessages == 0 || log_ns > seen->end_ns)
        seen->end_ns = log_ns;
    seen->channels |= 1ull << (get16(message + RECORD_HEAD) & 63);
    seen->nmessages++;
}

int64_t fs_mcap_unpack(const uint8_t *chunk, size_t nbytes, const fs_mcap_choice *choice,
                       uint8_t *out, size_t capacity, fs_mcap_seen *seen)
{
    size_t at = 0, used = 0, length = 0;
    const uint8_t *message;
    *seen = (fs_mcap_seen){0};
    while ((message = next_message(chunk, nbytes, &at, &length))) {
        if (length < MESSAGE_HEAD - RECORD_HEAD)
            return FS_E_FORMAT;
        see(seen, message);
        uint32_t source = choice->sources[get16(message + RECORD_HEAD)];
        seen->nstrange += source == 0;
        if (source < FS_MCAP_RECORD)
            continue;
        size_t ndata = length - (MESSAGE_HEAD - RECORD_HEAD);
        fs_record head;
        int64_t nhead = wire_head(message, ndata, source, choice->epoch_ns, &head);
        if (nhead < 0)
            return nhead;
        if (head.t_ns < choice->start_ns || head.t_ns > choice->last_ns ||
            (int32_t)(head.seq - seen->first_seq) < choice->least_step)
            continue;
        if (capacity - used < (size_t)nhead || capacity - used - (size_t)nhead < ndata)
            return FS_E_CAPACITY;
        memcpy(out + used, &head, (size_t)nhead);
        memcpy(out + used + nhead, message + MESSAGE_HEAD, ndata);
        used += (size_t)nhead + ndata;
        seen->nrecords++;
    }
    return at < nbytes ? FS_E_SHORT : (int64_t)used;
}

int64_t fs_mcap_entries(const uint8_t *chunk, size_t nbytes, fs_mcap_entry *entries,
                        size_t capacity)
{
    size_t at = 0, n = 0, length = 0;
    const uint8_t *message;
    while ((message = next_message(chunk, nbytes, &at, &length))) {
        size_t offset = (size_t)(message - chunk);
        if (length < MESSAGE_HEAD - RECORD_HEAD)
            return FS_E_FORMAT;
        if (offset > UINT32_MAX)
            return FS_E_RANGE;
        if (n == capacity)
            return FS_E_CAPACITY;
        entries[n++] = (fs_mcap_entry){.time_ns = get64(message + RECORD_HEAD + 6),
                                       .offset = (uint32_t)offset,
                                       .id = get16(message + RECORD_HEAD)};
    }
    return at < nbytes ? FS_E_SHORT : (int64_t)n;
}

int64_t fs_wire_table(const uint8_t *buf, size_t nbytes, uint64_t base, fs_wire_row *rows,
                      size_t nrows, uint8_t *payload, size_t capacity)
{
    size_t at = 0, n = 0, used = 0;
    while (at < nbytes) {
        if (nbytes - at < sizeof(fs_record))
            return FS_E_SHORT;
        if (n == nrows)
            return FS_E_CAPACITY;
        fs_record *head = &rows[n].head;
        memcpy(head, buf + at, sizeof *head);
        at += sizeof *head;
        if (nbytes - at < head->length)
            return FS_E_SHORT;
        if (capacity - used < head->length)
            return FS_E_CAPACITY;
        memcpy(payload + used, buf + at, head->length);
        rows[n++].offset = base + used;
        used += head->length;
        at += head->length;
    }
    return (int64_t)n;
}
