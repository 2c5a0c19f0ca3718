#include "flatsat.h"
#include "record/mcap_format.h"

#include <string.h>

/* Kinds whose payload is JSON (flightsw.codec.wire.Kind: LINK, EVENT, WORLD, FAULT). */
static int is_json_kind(uint8_t kind)
{
    return kind == 0x22 || (kind >= 0x30 && kind <= 0x32);
}

static uint8_t *put16(uint8_t *to, uint16_t value)
{
    memcpy(to, &value, sizeof value);
    return to + sizeof value;
}

static uint8_t *put32(uint8_t *to, uint32_t value)
{
    memcpy(to, &value, sizeof value);
    return to + sizeof value;
}

static uint8_t *put64(uint8_t *to, uint64_t value)
{
    memcpy(to, &value, sizeof value);
    return to + sizeof value;
}

static uint8_t *put_message_head(uint8_t *to, uint16_t id, const fs_record *head, size_t ndata,
                                 uint64_t epoch_ns)
{
    uint64_t start_ns = epoch_ns + head->t_ns;
    *to++ = OP_MESSAGE;
    to = put64(to, MESSAGE_HEAD - RECORD_HEAD + ndata);
    to = put16(to, id);
    to = put32(to, head->seq);
    to = put64(to, start_ns);
    return put64(to, start_ns + head->duration_ns);
}

/* Append the record of ndata octets at buf, its head read already; there is room for it. */
static void put_message(fs_mcap_chunk *state, fs_mcap_entry *entries, uint8_t *chunk, uint16_t id,
                        const fs_record *head, const uint8_t *data, size_t ndata, uint64_t epoch_ns)
{
    uint64_t time_ns = epoch_ns + head->t_ns;
    entries[state->nentries] = (fs_mcap_entry){time_ns, (uint32_t)state->used, id, 0};
    if (state->nentries == 0 || time_ns < state->start_ns)
        state->start_ns = time_ns;
    if (state->nentries == 0 || time_ns > state->end_ns)
        state->end_ns = time_ns;
    uint8_t *to = put_message_head(chunk + state->used, id, head, ndata, epoch_ns);
    memcpy(to, data, ndata);
    state->used += MESSAGE_HEAD + ndata;
    state->nentries++;
}

int64_t fs_mcap_pack(const uint8_t *buf, size_t nbytes, const uint16_t *ids, uint64_t epoch_ns,
                     size_t soft_limit, uint8_t *chunk, size_t capacity, fs_mcap_entry *entries,
                     size_t entry_capacity, fs_mcap_chunk *state)
{
    size_t at = 0;
    int64_t packed = 0;
    state->consumed = 0;
    for (; at < nbytes; packed++) {
        fs_record head;
        if (nbytes - at < sizeof head)
            return FS_E_SHORT;
        memcpy(&head, buf + at, sizeof head);
        if (nbytes - at - sizeof head < head.length)
            return FS_E_SHORT;
        /* Bare JSON is stored only if flags, status and address have nothing to say. */
        int bare = is_json_kind(head.kind) && !head.flags && !head.status && !head.address;
        uint16_t id = ids[(size_t)bare << 16 | (size_t)head.kind << 8 | head.channel];
        size_t skip = bare ? sizeof head : 0, ndata = sizeof head + head.length - skip;
        size_t need = MESSAGE_HEAD + ndata;
        if (id == 0 || state->nentries >= entry_capacity || state->used > UINT32_MAX ||
            state->used > capacity || need > capacity - state->used ||
            (state->nentries > 0 && state->used + need > soft_limit))
            break;
        put_message(state, entries, chunk, id, &head, buf + at + skip, ndata, epoch_ns);
        at += sizeof head + head.length;
        state->consumed = at;
    }
    return packed;
}

int64_t fs_mcap_fill(fs_mcap_filler *filler, const uint8_t *buf, size_t nbytes)
{
    uint64_t before = filler->state.nentries;
    int64_t packed = fs_mcap_pack(buf, nbytes, filler->ids, filler->epoch_ns, filler->soft_limit,
                                  filler->chunk, filler->capacity, filler->entries,
                                  filler->entry_capacity, &filler->state);
    filler->records += filler->state.nentries - before;
    return packed < 0 ? packed : (int64_t)(nbytes - filler->state.consumed);
}

int64_t fs_mcap_index(const fs_mcap_entry *entries, size_t nentries, uint32_t *counts,
                      uint64_t *places, size_t nids, uint8_t *out, size_t capacity)
{
    if (nentries > UINT32_MAX / ENTRY) /* the format gives the octets of a channel in 32 bits */
        return FS_E_RANGE;
    memset(counts, 0, nids * sizeof *counts);
    for (size_t i = 0; i < nentries; i++) {
        if (entries[i].id >= nids)
            return FS_E_RANGE;
        counts[entries[i].id]++;
    }
    uint64_t end = 0;
    for (size_t id = 0; id < nids; id++) {
        places[id] = end;
        if (counts[id] == 0)
            continue;
        uint32_t noctets = counts[id] * ENTRY;
        if (capacity - end < INDEX_HEAD + (size_t)noctets)
            return FS_E_CAPACITY;
        uint8_t *to = out + end;
        *to++ = OP_MESSAGE_INDEX;
        to = put64(to, INDEX_HEAD - RECORD_HEAD + noctets);
        to = put16(to, (uint16_t)id);
        put32(to, noctets);
        places[id] += INDEX_HEAD;
        end += INDEX_HEAD + noctets;
    }
    for (size_t i = 0; i < nentries; i++) {
        uint8_t *to = out + places[entries[i].id];
        put64(put64(to, entries[i].time_ns), entries[i].offset);
        places[entries[i].id] += ENTRY;
    }
    return (int64_t)end;
}
