/* HILwire's receiver: any octets in any chunks give the same bodies and counters as in one chunk,
 * every octet is counted, and what was made of the input's parts comes back as it was. */
#include "fuzz.h"

enum { NROWS = 4 };

typedef struct {
    fs_hilwire rx;
    uint64_t digest, bodies;
} outcome;

static void feed(outcome *o, const uint8_t *data, size_t nbytes)
{
    fs_content_row rows[NROWS];
    uint8_t *out = exact(NULL, FS_HILWIRE_LINE * NROWS);
    for (uint64_t consumed; nbytes; data += consumed, nbytes -= consumed) {
        int64_t n = fs_hilwire_feed(&o->rx, data, nbytes, &consumed, rows, NROWS, out,
                                    FS_HILWIRE_LINE * NROWS);
        FS_MUST(n >= 0 && n <= NROWS && consumed && consumed <= nbytes);
        for (int64_t i = 0; i < n; i++) {
            FS_MUST(rows[i].nbytes >= FS_HILWIRE_LEAST);
            FS_MUST(rows[i].nbytes + FS_HILWIRE_CHECK <= o->rx.line.max_nbytes);
            for (size_t k = 0; k < rows[i].nbytes; k++)
                o->digest = (o->digest ^ out[rows[i].offset + k]) * 0x100000001B3ull;
        }
        o->bodies += (uint64_t)n;
    }
    free(out);
}

static outcome run(uint32_t longest, const uint8_t *data, size_t nbytes, size_t step)
{
    outcome o = {0};
    FS_MUST(fs_hilwire_reset(&o.rx, longest) == 0);
    for (size_t at = 0, n; at < nbytes; at += n) {
        n = step && step < nbytes - at ? step : nbytes - at;
        uint8_t *chunk = exact(data + at, n);
        feed(&o, chunk, n);
        free(chunk);
    }
    const fs_deframer *line = &o.rx.line;
    FS_MUST(line->good_octets + line->bad_octets + line->idle_octets + o.rx.nheld == nbytes);
    FS_MUST(line->frames == o.bodies && o.rx.bad_folds <= line->bad_checks);
    return o;
}

/* The input cut into bodies, framed, and taken again. */
static void there_and_back(const uint8_t *data, size_t nbytes, size_t length)
{
    uint64_t offsets[NROWS];
    uint32_t lengths[NROWS];
    size_t count = 0;
    for (size_t at = 0; count < NROWS && at + length <= nbytes; at += length, count++)
        offsets[count] = at, lengths[count] = (uint32_t)length;
    uint8_t *line = exact(NULL, FS_HILWIRE_LINE * NROWS);
    int64_t made = fs_hilwire_enframe(data, nbytes, offsets, lengths, count, line,
                                      FS_HILWIRE_LINE * NROWS);
    if (count && (length < FS_HILWIRE_LEAST || length > FS_HILWIRE_MOST - FS_HILWIRE_CHECK)) {
        FS_MUST(made < 0);
    } else {
        FS_MUST(made == (int64_t)(count * (length + FS_HILWIRE_CHECK + 3)));
        outcome o = run(FS_HILWIRE_MOST, line, (size_t)made, length % 7);
        FS_MUST(o.bodies == count && !o.rx.line.bad_octets);
    }
    free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_input in = {data, nbytes};
    uint32_t longest = 6 + (uint32_t)take(&in, 1) % 247;
    size_t step = take(&in, 1), length = take(&in, 1);
    outcome want = run(longest, in.data, in.nbytes, 0), got = run(longest, in.data, in.nbytes, step);
    got.rx.line.scanned = want.rx.line.scanned;
    FS_MUST(!memcmp(&got.rx.line, &want.rx.line, sizeof got.rx.line));
    FS_MUST(got.digest == want.digest && got.bodies == want.bodies);
    FS_MUST(got.rx.nheld == want.rx.nheld && got.rx.bad_folds == want.rx.bad_folds);
    there_and_back(in.data, in.nbytes, length);
    return 0;
}
