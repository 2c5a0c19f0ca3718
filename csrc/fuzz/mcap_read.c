/* The content of chunks: whatever octets come, nothing is read or written outside of them, all who
 * walk a chunk find the same messages, and records that were packed come back as they were. */
#include "fuzz.h"

enum { IDS = 1 << 16, ENTRIES = 512, ROOM = 1 << 14 };

static uint32_t sources[IDS];
static uint16_t ids[2 * IDS];

/* Few channels, so that inputs meet them: whole records, bare JSON, some left out, most unknown. */
static void make_tables(void)
{
    if (ids[0x1000])
        return;
    for (uint32_t key = 0; key < 2 * IDS; key += 0x100)
        ids[key] = (uint16_t)(1 + (key >> 8));
    for (uint32_t id = 1; id <= 512; id++)
        sources[id] = (id > 256 ? FS_MCAP_BARE : FS_MCAP_RECORD) | ((id - 1) & 0xFF) << 8;
    sources[3] = FS_MCAP_SKIP;
    sources[4] = 0;
}

/* The index of what lies in a chunk holds each message once, in room made for just that. */
static void indexed(const fs_mcap_entry *entries, size_t n)
{
    static uint32_t counts[IDS];
    static uint64_t places[IDS];
    uint8_t *room = exact(NULL, n * 31);
    size_t nids = 0, sum = 0;
    for (size_t i = 0; i < n; i++)
        nids = entries[i].id >= nids ? entries[i].id + 1u : nids;
    int64_t used = fs_mcap_index(entries, n, counts, places, nids, room, n * 31);
    FS_MUST(used >= 0 && (size_t)used <= n * 31);
    for (size_t id = 0; id < nids; id++)
        sum += counts[id];
    FS_MUST(sum == n);
    FS_MUST(!n || fs_mcap_index(entries, n, counts, places, nids, room, 30) == FS_E_CAPACITY);
    FS_MUST(!n || fs_mcap_index(entries, n, counts, places, nids - 1, room, n * 31) == FS_E_RANGE);
    free(room);
}

static void table_of(const uint8_t *records, size_t nbytes, uint64_t expected)
{
    size_t nrows = nbytes / 32;
    fs_wire_row *rows = (fs_wire_row *)exact(NULL, nrows * sizeof *rows);
    uint8_t *payload = exact(NULL, nbytes);
    int64_t n = fs_wire_table(records, nbytes, 7, rows, nrows, payload, nbytes);
    FS_MUST(expected == UINT64_MAX || n == (int64_t)expected);
    free(rows);
    free(payload);
}

static int64_t read_all(const uint8_t *chunk, size_t nbytes, fs_mcap_choice *choice)
{
    size_t capacity = nbytes + nbytes / 31 + 1;
    uint8_t *out = exact(NULL, capacity);
    fs_mcap_seen seen;
    int64_t used = fs_mcap_unpack(chunk, nbytes, choice, out, capacity, &seen);
    FS_MUST(used != FS_E_CAPACITY && used <= (int64_t)capacity && seen.nmessages <= nbytes / 31);
    fs_mcap_entry *entries = (fs_mcap_entry *)exact(NULL, seen.nmessages * sizeof *entries);
    int64_t n = fs_mcap_entries(chunk, nbytes, entries, seen.nmessages);
    if (used >= 0) {
        FS_MUST(n == (int64_t)seen.nmessages);
        indexed(entries, (size_t)n);
        uint8_t *records = exact(out, (size_t)used);
        table_of(records, (size_t)used, seen.nrecords);
        free(records);
    }
    free(entries);
    free(out);
    return used;
}

/* Pack whole records of the input into a chunk and read them back. */
static void there_and_back(const uint8_t *buf, size_t nbytes, uint64_t epoch_ns, size_t capacity)
{
    uint8_t *chunk = exact(NULL, capacity), *out = exact(NULL, 2 * capacity + 64);
    fs_mcap_entry *entries = (fs_mcap_entry *)exact(NULL, ENTRIES * sizeof *entries);
    fs_mcap_chunk state = {0};
    int64_t n = fs_mcap_pack(buf, nbytes, ids, epoch_ns, capacity, chunk, capacity, entries, ENTRIES,
                             &state);
    FS_MUST(state.used <= capacity && state.nentries <= ENTRIES && state.consumed <= nbytes);
    FS_MUST(n < 0 || (uint64_t)n == state.nentries);
    indexed(entries, state.nentries);
    sources[3] = FS_MCAP_RECORD | 2u << 8, sources[4] = FS_MCAP_RECORD | 3u << 8;
    fs_mcap_choice choice = {sources, epoch_ns, 0, UINT64_MAX, INT64_MIN};
    fs_mcap_seen seen;
    int64_t used = fs_mcap_unpack(chunk, state.used, &choice, out, 2 * capacity + 64, &seen);
    FS_MUST(used == (int64_t)state.consumed && !memcmp(out, buf, state.consumed));
    sources[3] = FS_MCAP_SKIP, sources[4] = 0;
    free(chunk);
    free(out);
    free(entries);
}

/* Messages of sound length with records of sound length, mostly. */
static size_t make_chunk(fuzz_input *in, uint8_t *to, size_t room, uint64_t epoch_ns)
{
    size_t used = 0;
    while (in->nbytes && room - used >= 1024) {
        uint64_t shape = take(in, 1), npayload = take(in, 1), bare = shape & 1;
        uint16_t id = (uint16_t)(1 + take(in, 1) % 8 + (bare ? 256 : 0));
        fs_record head = {.kind = (uint8_t)(id - 1), .seq = (uint32_t)take(in, 4)};
        head.t_ns = take(in, 2), head.duration_ns = take(in, 1), head.length = (uint32_t)npayload;
        uint64_t ndata = npayload + (bare ? 0 : sizeof head), length = 22 + ndata;
        uint64_t log_ns = epoch_ns + head.t_ns, end_ns = log_ns + head.duration_ns;
        uint8_t *at = to + used;
        *at = shape >> 6 == 3 ? (uint8_t)take(in, 1) : 5;
        length += shape >> 4 == 7 ? take(in, 1) - 30 : 0;
        memcpy(at + 1, &length, 8);
        memcpy(at + 9, &id, 2);
        memcpy(at + 11, &head.seq, 4);
        memcpy(at + 15, &log_ns, 8);
        memcpy(at + 23, &end_ns, 8);
        if (!bare)
            memcpy(at + 31, &head, sizeof head);
        for (uint64_t i = 0; i < npayload; i++)
            at[31 + (bare ? 0 : sizeof head) + i] = (uint8_t)take(in, 1);
        used += 31 + ndata;
    }
    return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    static uint8_t chunk[ROOM];
    make_tables();
    fuzz_input in = {data, nbytes};
    fs_mcap_choice choice = {.sources = sources, .epoch_ns = take(&in, 1) << 40};
    choice.start_ns = take(&in, 2), choice.last_ns = choice.start_ns + take(&in, 8);
    choice.least_step = (int64_t)take(&in, 8);
    uint8_t *any = exact(in.data, in.nbytes);
    read_all(any, in.nbytes, &choice);
    table_of(any, in.nbytes, UINT64_MAX);
    there_and_back(any, in.nbytes, choice.epoch_ns, in.nbytes);
    free(any);
    size_t used = make_chunk(&in, chunk, sizeof chunk, choice.epoch_ns);
    uint8_t *sound = exact(chunk, used);
    read_all(sound, used, &choice);
    free(sound);
    return 0;
}
