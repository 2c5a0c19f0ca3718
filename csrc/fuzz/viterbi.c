/* The decoder: any symbols in any chunks give the same bits and counters on every tier. */
#include "fuzz.h"

/* Feeds all of `symbols` in chunks of at most `chunk` and flushes; returns octets written. */
static size_t run(fs_viterbi *v, const fs_viterbi_setup *setup, const uint8_t *symbols, size_t count,
                  size_t chunk, int32_t end, uint8_t *out, size_t capacity)
{
    size_t written = 0;
    FS_MUST(fs_viterbi_begin(v, setup) == 0);
    for (size_t at = 0; at < count; at += chunk) {
        size_t n = count - at < chunk ? count - at : chunk, room = fs_viterbi_nbytes(v, n);
        uint8_t *in = exact(symbols + at, n), *part = exact(NULL, room);
        int64_t got = fs_viterbi_feed(v, in, n, part, room);
        FS_MUST(got >= 0 && written + (size_t)got <= capacity);
        memcpy(out + written, part, (size_t)got);
        written += (size_t)got;
        free(in);
        free(part);
    }
    size_t room = fs_viterbi_nbytes(v, 0);
    uint8_t *part = exact(NULL, room);
    int64_t got = fs_viterbi_flush(v, end, part, room);
    FS_MUST(got >= 0 && written + (size_t)got <= capacity);
    memcpy(out + written, part, (size_t)got);
    free(part);
    return written + (size_t)got;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    static fs_viterbi v; /* large; each run begins it anew */
    fuzz_input in = {data, nbytes};
    fs_viterbi_setup setup = {.code = {(uint8_t)take(&in, 1) % 5, (uint8_t)take(&in, 1) % 4}};
    setup.depth = (uint16_t)(16 * (take(&in, 1) % 40));
    setup.segment = (uint16_t)(64 * (take(&in, 1) % 40));
    setup.start = (int16_t)((int)take(&in, 1) % 66 - 1);
    int32_t end = (int32_t)(take(&in, 1) % 65) - 1;
    size_t chunk = 1 + take(&in, 2), capacity = in.nbytes / 8 + 64;
    if (fs_viterbi_begin(&v, &setup) < 0) {
        FS_MUST(setup.depth > FS_VITERBI_DEPTH || setup.segment > FS_VITERBI_SEGMENT ||
                setup.start > 63);
        return 0;
    }
    uint8_t *want = exact(NULL, capacity), *got = exact(NULL, capacity);
    fs_tier_force(0);
    size_t n = run(&v, &setup, in.data, in.nbytes, in.nbytes + 1, end, want, capacity);
    uint64_t wrong = v.wrong_symbols, known = v.known_symbols;
    FS_MUST(v.symbols == in.nbytes && n == (v.bits + 7) / 8 && wrong <= known);
    FOR_EACH_TIER(level) {
        FS_MUST(run(&v, &setup, in.data, in.nbytes, chunk, end, got, capacity) == n);
        FS_MUST(!memcmp(got, want, n));
        FS_MUST(v.wrong_symbols == wrong && v.known_symbols == known);
    }
    free(want);
    free(got);
    return 0;
}
