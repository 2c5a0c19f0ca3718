/* Packets of a chunk: the parts that know headers, checks, counts and layouts, one after another. */
#include "flatsat.h"

#include <string.h>

enum { LINE = 64, PEC_NBYTES = 2, ANY = -1, ID_APID = 0x7FF, ID_COMMAND = 0x1000 };

/* The columns of a table, in the order of their places. */
typedef struct {
    fs_packet_columns head;
    fs_pus_columns pus;
    uint64_t *frame;
    uint16_t *missing;
    uint8_t *good, *verdict, *vcid;
} packet_table;

size_t fs_sift_row_nbytes(const fs_sift *sift)
{
    return sift->telemetry ? 2 * 8 + 2 * 8 + 4 + 3 * 4 + 3 * 2 + 3 + 4 : 2 * 8 + 4 + 3 * 2 + 3;
}

static void *part(uint8_t **at, size_t nbytes)
{
    void *here = *at;
    *at += nbytes;
    return here;
}

static packet_table lay_out(const fs_sift *s, uint8_t *at, size_t n)
{
    packet_table t = {0};
    t.head.offset = part(&at, 8 * n);
    t.frame = part(&at, 8 * n);
    if (s->telemetry) {
        t.pus.t_ns = part(&at, 8 * n);
        t.pus.data_offset = part(&at, 8 * n);
    }
    t.head.nbytes = part(&at, 4 * n);
    if (s->telemetry) {
        t.pus.counter = part(&at, 4 * n);
        t.pus.party = part(&at, 4 * n);
        t.pus.data_nbytes = part(&at, 4 * n);
    }
    t.head.id = part(&at, 2 * n);
    t.head.sequence = part(&at, 2 * n);
    t.missing = part(&at, 2 * n);
    t.good = part(&at, n);
    t.verdict = part(&at, n);
    t.vcid = part(&at, n);
    if (s->telemetry) {
        t.pus.fault = part(&at, n);
        t.pus.status = part(&at, n);
        t.pus.service = part(&at, n);
        t.pus.subtype = part(&at, n);
    }
    return t;
}

static int is_in(const uint8_t *apids, unsigned id)
{
    unsigned apid = id & ID_APID;
    return apids[apid >> 3] >> (apid & 7) & 1;
}

static int is_idle(unsigned id)
{
    return (id & ID_APID) == FS_PACKET_APID_IDLE;
}

/* Note where packets begin. Idle encapsulation packets are given as idle units, too. Returns how
 * many there are, or FS_E_SHORT. */
static int64_t collect(const uint8_t *buf, size_t nbytes, const fs_frame_row *units,
                       const uint64_t *offsets, size_t count, const packet_table *t)
{
    size_t n = 0;
    if (!units) {
        memset(t->frame, 0, 8 * count);
        memset(t->vcid, 0, count);
        if (count)
            memcpy(t->head.offset, offsets, 8 * count);
        return (int64_t)count;
    }
    for (size_t i = 0; i < count; i++) {
        const fs_frame_row *unit = units + i;
        if (unit->offset >= nbytes)
            return FS_E_SHORT;
        t->head.offset[n] = unit->offset;
        t->frame[n] = unit->frame;
        t->vcid[n] = unit->vcid;
        n += unit->kind == FS_UNIT_PACKET ||
             (unit->kind == FS_UNIT_IDLE && !(buf[unit->offset] >> 5));
    }
    return (int64_t)n;
}

/* Count idle packets and move the others together over them. Returns how many those are. */
static size_t drop_idle(fs_sift *s, const packet_table *t, size_t n)
{
    const fs_packet_columns *h = &t->head;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        uint16_t missing;
        uint8_t verdict;
        fs_packet_columns one = {NULL, h->nbytes + i, h->id + i, h->sequence + i};
        if (is_idle(h->id[i])) {
            fs_packet_track(s->tracker, &one, NULL, 1, &missing, &verdict);
            continue;
        }
        h->offset[kept] = h->offset[i];
        h->nbytes[kept] = h->nbytes[i];
        h->id[kept] = h->id[i];
        h->sequence[kept] = h->sequence[i];
        t->frame[kept] = t->frame[i];
        t->vcid[kept++] = t->vcid[i];
    }
    return kept;
}

static void check(fs_sift *s, const uint8_t *buf, size_t nbytes, const packet_table *t, size_t n)
{
    if (!s->error_control) {
        memset(t->good, 1, n);
        return;
    }
    fs_packet_check(buf, nbytes, t->head.offset, t->head.nbytes, n, t->good);
    for (size_t i = 0; i < n; i++) {
        t->good[i] |= is_idle(t->head.id[i]) || is_in(s->no_check, t->head.id[i]);
        s->bad_error_control += !t->good[i];
    }
}

/* PUS headers, by runs of one packet type. */
static void read_pus(fs_sift *s, const uint8_t *buf, size_t nbytes, const packet_table *t, size_t n)
{
    const fs_packet_columns *h = &t->head;
    const fs_pus_columns *p = &t->pus;
    for (size_t i = 0, end; i < n; i = end) {
        unsigned command = h->id[i] & ID_COMMAND;
        for (end = i + 1; end < n && (h->id[end] & ID_COMMAND) == command;)
            end++;
        fs_pus_columns to = {p->fault + i, p->status + i, p->service + i, p->subtype + i,
                             p->counter + i, p->party + i, p->t_ns + i, p->data_offset + i,
                             p->data_nbytes + i};
        fs_pus_decode_columns(command ? s->commands : s->telemetry, s->has_pus, buf, nbytes,
                              h->offset + i, h->nbytes + i, end - i, &to);
    }
    for (size_t i = 0; i < n; i++)
        s->no_pus_header += p->fault[i] && is_in(s->has_pus, h->id[i]);
}

static int has_pus(const fs_sift_rule *r, const fs_pus_columns *p, size_t i)
{
    return !p->fault[i] && (r->service == ANY || p->service[i] == r->service) &&
           (r->subtype == ANY || p->subtype[i] == r->subtype);
}

/* Octets of packet i for a layout, without its check, and where they begin. */
static int64_t data_of(const fs_sift *s, const packet_table *t, size_t i, uint64_t *at)
{
    unsigned id = t->head.id[i];
    *at = s->telemetry ? t->pus.data_offset[i] : t->head.offset[i];
    if (s->telemetry)
        return t->pus.data_nbytes[i];
    int checked = s->error_control && !is_idle(id) && !is_in(s->no_check, id);
    return (int64_t)t->head.nbytes[i] - (checked ? PEC_NBYTES : 0);
}

/* Note the packets that a rule describes. */
static void match(const fs_sift *s, fs_sift_rule *rule, const packet_table *t, size_t n)
{
    const fs_sift_rule r = *rule;
    const unsigned mask = (r.apid == ANY ? 0 : ID_APID) | (r.telecommand == ANY ? 0 : ID_COMMAND);
    const unsigned want = (r.telecommand > 0 ? ID_COMMAND : 0) | (r.apid == ANY ? 0 : (unsigned)r.apid);
    const int64_t size = r.layout ? (int64_t)r.layout->nbytes : 0;
    size_t found = 0, matched = 0;
    for (size_t i = 0; i < n; i++) {
        if ((t->head.id[i] & mask) != want || !t->good[i] ||
            (r.vcid != ANY && t->vcid[i] != r.vcid) ||
            (s->telemetry && !has_pus(&r, &t->pus, i)))
            continue;
        uint64_t at;
        int64_t length = data_of(s, t, i, &at) - (int64_t)r.skip_nbytes;
        r.rows[found] = i;
        r.at[found] = at + r.skip_nbytes;
        r.lengths[found] = (uint64_t)length;
        found += length >= 0 && (!r.layout || (r.longer ? length >= size : length == size));
        matched++;
    }
    rule->packets += matched;
    rule->wrong_length += matched - found;
    rule->matched = matched;
    rule->found = found;
}

static size_t whole_lines(size_t nbytes)
{
    return (nbytes + LINE - 1) / LINE * LINE;
}

static void apply_rules(fs_sift *s, const packet_table *t, size_t n, size_t capacity,
                        uint64_t *work)
{
    s->columns_nbytes = s->hits = 0;
    for (size_t k = 0; k < s->nrules; k++, work += 3 * capacity) {
        fs_sift_rule *r = s->rules + k;
        r->rows = work, r->at = work + capacity, r->lengths = work + 2 * capacity;
        match(s, r, t, n);
        if (!r->matched)
            continue;
        s->rules[s->hits++].hit = (uint32_t)k;
        r->place = s->columns_nbytes;
        if (r->layout)
            s->columns_nbytes += whole_lines(8 * r->found) +
                                 whole_lines(fs_layout_spread(r->layout, r->found, NULL, NULL));
    }
}

static int is_sane(const fs_sift *s)
{
    return s->tracker->late_window < 8192 &&
           (!s->telemetry || (fs_pus_header_nbytes(s->telemetry) >= 0 && s->commands &&
                              fs_pus_header_nbytes(s->commands) >= 0));
}

int64_t fs_sift_take(fs_sift *s, const uint8_t *buf, size_t nbytes, const fs_frame_row *units,
                     const uint64_t *offsets, size_t count, uint8_t *table, size_t capacity,
                     uint64_t *work)
{
    if (count > capacity || capacity % 8)
        return FS_E_CAPACITY;
    if (!is_sane(s))
        return FS_E_RANGE;
    const packet_table t = lay_out(s, table, capacity);
    int64_t met = collect(buf, nbytes, units, offsets, count, &t);
    int64_t code = met < 0 ? met
                           : fs_packet_headers(buf, nbytes, t.head.offset, (size_t)met, &t.head);
    if (code < 0)
        return code;
    size_t n = (size_t)met, idle = 0;
    for (size_t i = 0; i < n; i++)
        idle += is_idle(t.head.id[i]);
    s->others = count - n;
    s->packets += n;
    s->idle_packets += idle;
    if (idle && !s->keep_idle)
        n = drop_idle(s, &t, n);
    check(s, buf, nbytes, &t, n);
    fs_packet_track(s->tracker, &t.head, t.good, n, t.missing, t.verdict);
    if (s->telemetry)
        read_pus(s, buf, nbytes, &t, n);
    apply_rules(s, &t, n, capacity, work);
    return (int64_t)n;
}

int64_t fs_sift_columns(const fs_sift *s, const uint8_t *buf, size_t nbytes, uint8_t *arena,
                        size_t narena)
{
    size_t skip = (size_t)-(uintptr_t)arena % LINE;
    if (narena < skip || narena - skip < s->columns_nbytes)
        return FS_E_CAPACITY;
    for (size_t k = 0; k < s->nrules; k++) {
        const fs_sift_rule *r = s->rules + k;
        uint8_t *block = arena + skip + r->place;
        if (!r->layout || !r->found)
            continue;
        memcpy(block, r->rows, 8 * r->found);
        fs_layout_spread(r->layout, r->found, block + whole_lines(8 * r->found), r->columns);
        fs_layout_decode_columns(r->layout, buf, nbytes, r->at, 0, r->found, r->columns);
    }
    return (int64_t)skip;
}
