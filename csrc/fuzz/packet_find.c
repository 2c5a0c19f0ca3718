/* Finding packets: whole and in two feeds the same, every octet accounted for, rows inside the
 * buffer; the strict scan agrees where it goes. */
#include "fuzz.h"

enum { ROWS = 600 };

typedef struct {
    uint64_t offset[ROWS];
    uint32_t nbytes[ROWS];
    uint16_t id[ROWS], sequence[ROWS];
    size_t n;
} table;

static size_t feed(fs_packet_finder *f, table *t, const uint8_t *data, size_t from, size_t nbytes,
                   int32_t last)
{
    uint8_t *buf = exact(data + from, nbytes - from);
    fs_packet_columns out = {t->offset + t->n, t->nbytes + t->n, t->id + t->n, t->sequence + t->n};
    uint64_t consumed;
    int64_t found = fs_packet_find(f, buf, nbytes - from, last, &out, ROWS - t->n, &consumed);
    FS_MUST(found >= 0 && consumed <= nbytes - from);
    for (int64_t i = 0; i < found; i++) {
        FS_MUST(out.offset[i] + out.nbytes[i] <= consumed);
        FS_MUST(out.nbytes[i] >= 7 && !(out.id[i] >> 13));
        out.offset[i] += from;
    }
    t->n += (size_t)found;
    free(buf);
    return from + consumed;
}

static void against_scan(const uint8_t *data, size_t nbytes, const table *t)
{
    static table strict, whole_again;
    uint8_t *buf = exact(data, nbytes);
    fs_packet_columns out = {strict.offset, strict.nbytes, strict.id, strict.sequence};
    uint64_t consumed;
    int64_t found = fs_packet_scan(buf, nbytes, &out, ROWS, &consumed);
    FS_MUST(found >= 0 || found == FS_E_FORMAT);
    FS_MUST(consumed <= nbytes);
    fs_packet_columns again = {whole_again.offset, whole_again.nbytes, whole_again.id,
                               whole_again.sequence};
    FS_MUST(fs_packet_headers(buf, nbytes, t->offset, t->n, &again) == (int64_t)t->n);
    FS_MUST(!memcmp(again.nbytes, t->nbytes, t->n * sizeof *t->nbytes));
    if (found >= 0) {
        FS_MUST((size_t)found == t->n);
        FS_MUST(!memcmp(strict.offset, t->offset, t->n * sizeof *t->offset));
        FS_MUST(!memcmp(strict.sequence, t->sequence, t->n * sizeof *t->sequence));
    }
    free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    static table whole, parts;
    fuzz_input in = {data, nbytes};
    uint8_t options = (uint8_t)take(&in, 1);
    fs_packet_finder one = {.error_control = options & 1, .listed = options >> 1 & 1};
    one.before_nbytes = options >> 2 & 3;
    one.behind_nbytes = options >> 4 & 1;
    one.max_nbytes = options & 32 ? 40 : 0;
    one.apids[0] = (uint8_t)take(&in, 1);
    fs_packet_finder two = one;
    size_t cut = take(&in, 2) % (in.nbytes + 1);
    whole.n = parts.n = 0;
    size_t end = feed(&one, &whole, in.data, 0, in.nbytes, 1);
    size_t at = feed(&two, &parts, in.data, 0, cut, 0);
    at = feed(&two, &parts, in.data, at, in.nbytes, 1);
    FS_MUST(at == end && whole.n == parts.n);
    FS_MUST(!memcmp(whole.offset, parts.offset, whole.n * sizeof *whole.offset));
    FS_MUST(one.packet_octets + one.record_octets + one.skipped_octets == end);
    FS_MUST(!memcmp(&one, &two, sizeof one));
    if (!(options & 63))
        against_scan(in.data, in.nbytes, &whole);
    return 0;
}
