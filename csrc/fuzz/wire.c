/* Wire records and captures: what is scanned is what is packed; a chunk's index points at its
 * messages; unpacked, a chunk gives the records back. Any octets at all may come instead. */
#include "fuzz.h"

enum { RECORDS = 64, IDS = 1 << 16, CHANNELS = 300 };

static uint16_t ids[2 * IDS];
static uint32_t sources[IDS];

/* Records with sound lengths from the input, of which the last may be cut. */
static size_t make_records(fuzz_input *in, uint8_t *to, size_t room)
{
    static const uint8_t KINDS[8] = {0x22, 0x30, 0x31, 0x32, 1, 2, 0x10, 0xFF};
    size_t used = 0;
    while (in->nbytes && room - used >= sizeof(fs_record) + 16) {
        uint64_t shape = take(in, 2);
        fs_record head = {.kind = KINDS[shape & 7], .channel = shape >> 3 & 3};
        head.flags = shape >> 5 & 1;
        head.length = shape >> 6 & 15;
        head.t_ns = take(in, 8);
        head.duration_ns = take(in, 2);
        head.seq = (uint32_t)take(in, 2);
        memcpy(to + used, &head, sizeof head);
        used += sizeof head;
        for (uint32_t i = 0; i < head.length; i++)
            to[used++] = (uint8_t)take(in, 1);
    }
    return used;
}

/* An MCAP channel for every kind and channel that the records have, but for one in 16. */
static void make_ids(void)
{
    uint16_t next = 1;
    if (ids[0x0100])
        return;
    for (uint32_t at = 0; at < 2 * IDS; at++)
        if ((at & 0xFF) < 4 && (at & 0xF) != 3 && next < CHANNELS / 2) {
            uint32_t kind = at >> 8 & 0xFF;
            if (kind == 1 || kind == 2 || kind == 0x10 || kind == 0x22 || kind >> 2 == 0x0C) {
                ids[at] = next;
                sources[next++] = (at < IDS ? FS_MCAP_RECORD : FS_MCAP_BARE) | (at & 0xFFFF);
            }
        }
}

static void indexed(const uint8_t *chunk, const fs_mcap_entry *entries, size_t n, size_t room)
{
    uint32_t *counts = (uint32_t *)exact(NULL, CHANNELS * sizeof *counts);
    uint64_t *places = (uint64_t *)exact(NULL, CHANNELS * sizeof *places);
    size_t size = n * 16 + CHANNELS * 15;
    uint8_t *out = exact(NULL, size), *little = exact(NULL, room);
    int64_t got = fs_mcap_index(entries, n, counts, places, CHANNELS, out, size);
    FS_MUST(got >= 0 && (size_t)got <= size);
    int64_t again = fs_mcap_index(entries, n, counts, places, CHANNELS, little, room);
    FS_MUST(again == (room < (size_t)got ? FS_E_CAPACITY : got));
    FS_MUST(again < 0 || !memcmp(out, little, (size_t)got));
    for (size_t i = 0; i < n; i++)
        FS_MUST(chunk[entries[i].offset] == 5 && entries[i].id < CHANNELS);
    free(counts);
    free(places);
    free(out);
    free(little);
}

static int64_t unpacked(const uint8_t *chunk, size_t nbytes, uint64_t epoch_ns, uint8_t *out,
                        size_t capacity)
{
    fs_mcap_choice all = {sources, epoch_ns, 0, UINT64_MAX, INT64_MIN};
    fs_mcap_seen seen;
    int64_t got = fs_mcap_unpack(chunk, nbytes, &all, out, capacity, &seen);
    FS_MUST(got <= (int64_t)capacity);
    if (got >= 0) {
        fs_mcap_entry entries[RECORDS];
        int64_t n = fs_mcap_entries(chunk, nbytes, entries, RECORDS);
        FS_MUST(n == (seen.nmessages > RECORDS ? FS_E_CAPACITY : (int64_t)seen.nmessages));
        FS_MUST(seen.nrecords + seen.nstrange <= seen.nmessages);
    }
    return got;
}

/* As a table, the records in buf are what they are as octets. */
static void tabled(const uint8_t *buf, size_t nbytes)
{
    size_t nrows = nbytes / sizeof(fs_record), at = 0;
    fs_wire_row *rows = (fs_wire_row *)exact(NULL, nrows * sizeof *rows);
    uint8_t *payload = exact(NULL, nbytes);
    int64_t n = fs_wire_table(buf, nbytes, 0, rows, nrows, payload, nbytes);
    for (int64_t i = 0; i < n; i++) {
        FS_MUST(!memcmp(buf + at, &rows[i].head, sizeof(fs_record)));
        at += sizeof(fs_record);
        FS_MUST(!memcmp(buf + at, payload + rows[i].offset, rows[i].head.length));
        at += rows[i].head.length;
    }
    FS_MUST(n < 0 || at == nbytes);
    free(rows);
    free(payload);
}

/* What one call appends is what pack does with the same chunk: octets, entries, what is left. */
static void filled(const uint8_t *buf, size_t nbytes, size_t capacity, size_t limit,
                   const uint8_t *chunk, const fs_mcap_chunk *state)
{
    fs_mcap_filler filler = {.ids = ids, .epoch_ns = 7, .soft_limit = limit};
    filler.chunk = exact(NULL, capacity);
    filler.capacity = capacity;
    filler.entries = (fs_mcap_entry *)exact(NULL, RECORDS * sizeof *filler.entries);
    filler.entry_capacity = RECORDS;
    FS_MUST(fs_mcap_fill(&filler, buf, nbytes) == (int64_t)(nbytes - state->consumed));
    FS_MUST(filler.records == state->nentries && filler.state.used == state->used);
    FS_MUST(!memcmp(filler.chunk, chunk, state->used));
    free(filler.chunk);
    free(filler.entries);
}

static void packed(const uint8_t *records, size_t nbytes, size_t capacity, size_t limit)
{
    uint8_t *buf = exact(records, nbytes), *chunk = exact(NULL, capacity);
    fs_mcap_entry *entries = (fs_mcap_entry *)exact(NULL, RECORDS * sizeof *entries);
    fs_mcap_chunk state = {0};
    int64_t n = fs_mcap_pack(buf, nbytes, ids, 7, limit, chunk, capacity, entries, RECORDS, &state);
    if (n >= 0) {
        FS_MUST(state.consumed <= nbytes && state.used <= capacity);
        FS_MUST(state.nentries == (uint64_t)n && n <= RECORDS);
        filled(buf, nbytes, capacity, limit, chunk, &state);
        indexed(chunk, entries, (size_t)n, limit % 600);
        uint8_t *back = exact(NULL, state.consumed), *whole = exact(chunk, state.used);
        int64_t got = unpacked(whole, state.used, 7, back, state.consumed);
        FS_MUST(got == (int64_t)state.consumed && !memcmp(back, buf, state.consumed));
        if (state.consumed)
            FS_MUST(unpacked(whole, state.used, 7, back, state.consumed - 1) == FS_E_CAPACITY);
        tabled(back, state.consumed);
        free(back);
        free(whole);
    }
    free(buf);
    free(chunk);
    free(entries);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    static uint8_t records[8192];
    fuzz_input in = {data, nbytes};
    uint64_t *offsets = (uint64_t *)exact(NULL, RECORDS * sizeof *offsets);
    size_t capacity = take(&in, 2) % 4096, limit = take(&in, 2) % 4096;
    make_ids();
    uint8_t *any = exact(in.data, in.nbytes), *out = exact(NULL, capacity);
    int64_t found = fs_wire_scan(any, in.nbytes, offsets, RECORDS);
    FS_MUST(found <= RECORDS && found >= FS_E_SHORT);
    for (int64_t i = 0; i < found; i++)
        FS_MUST(offsets[i] + sizeof(fs_record) <= in.nbytes);
    packed(any, in.nbytes, capacity, limit);
    unpacked(any, in.nbytes, limit, out, capacity);
    tabled(any, in.nbytes);
    free(any);
    free(out);
    size_t used = make_records(&in, records, sizeof records);
    FS_MUST(fs_wire_scan(records, used, offsets, RECORDS) >= (used > 0));
    packed(records, used, capacity, limit);
    free(offsets);
    return 0;
}
