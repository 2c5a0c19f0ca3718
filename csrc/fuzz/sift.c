/* The packets of a chunk: any units over any octets, on every tier, in one call or two. Tables, rows,
 * columns and counters are the same, and each packet is in one of the counters. */
#include "fuzz.h"

enum { MOST = 64, RULES = 3 };

static const fs_field FIELDS[] = {{4, 1, 12, FS_UINT, 2, 0}, {16, 3, 8, FS_INT, 1, 0}};

typedef struct {
    fs_sift sift;
    fs_sift_rule rules[RULES];
    fs_packet_tracker tracker;
    fs_layout layout;
    fs_layout_step steps[2];
    uint8_t *columns[2];
    uint64_t sum; /* of all that was written */
} run;

static void start(run *r, fuzz_input in, const fs_pus_format *pus)
{
    memset(r, 0, sizeof *r);
    FS_MUST(fs_layout_prepare(&r->layout, FIELDS, 2, 5, r->steps) == 2);
    r->sift.tracker = &r->tracker;
    r->sift.rules = r->rules;
    r->sift.nrules = RULES;
    if (take(&in, 1) & 1) {
        r->sift.telemetry = pus;
        r->sift.commands = pus + 1;
    }
    r->sift.error_control = take(&in, 1) & 1;
    r->sift.keep_idle = take(&in, 1) & 1;
    memset(r->sift.has_pus, (int)take(&in, 1), 256);
    memset(r->sift.no_check, (int)take(&in, 1), 256);
    for (int k = 0; k < RULES; k++) {
        fs_sift_rule *rule = r->rules + k;
        rule->layout = k ? &r->layout : NULL;
        rule->columns = r->columns;
        rule->apid = (int32_t)take(&in, 1) % 4 - 1;
        rule->telecommand = (int32_t)take(&in, 1) % 3 - 1;
        rule->vcid = (int32_t)take(&in, 1) % 3 - 1;
        rule->service = (int32_t)take(&in, 1) % 3 - 1;
        rule->subtype = rule->service;
        rule->skip_nbytes = (uint32_t)take(&in, 1) % 16;
        rule->longer = take(&in, 1) & 1;
    }
}

static void add(run *r, const void *octets, size_t nbytes)
{
    for (size_t i = 0; i < nbytes; i++)
        r->sum = r->sum * 1099511628211u + ((const uint8_t *)octets)[i];
}

/* Add the columns of a table, which stand at different places for another capacity. */
static void add_table(run *r, const uint8_t *table, size_t n, size_t capacity)
{
    static const uint8_t plain[] = {8, 8, 4, 2, 2, 2, 1, 1, 1};
    for (size_t k = 0; k < sizeof plain && !r->sift.telemetry; k++, table += plain[k - 1] * capacity)
        add(r, table, plain[k] * n);
}

static int64_t feed(run *r, const uint8_t *buf, size_t nbytes, const fs_frame_row *units,
                    size_t count)
{
    size_t capacity = (count + 7) / 8 * 8, room = capacity * fs_sift_row_nbytes(&r->sift);
    uint8_t *table = exact(NULL, room), *work = exact(NULL, 8 * 3 * RULES * capacity);
    fs_frame_row *own = (fs_frame_row *)exact((const uint8_t *)units, count * sizeof *units);
    int64_t found = fs_sift_take(&r->sift, buf, nbytes, own, NULL, count, table, capacity,
                                 (uint64_t *)work);
    if (found >= 0) {
        size_t narena = r->sift.columns_nbytes + 63;
        uint8_t *arena = exact(NULL, narena);
        int64_t skip = fs_sift_columns(&r->sift, buf, nbytes, arena, narena);
        FS_MUST(skip >= 0 && (size_t)found + r->sift.others <= count);
        add_table(r, table, (size_t)found, capacity);
        for (int k = 1; k < RULES && r->sift.columns_nbytes; k++)
            if (r->rules[k].matched)
                add(r, arena + skip + r->rules[k].place, 8 * r->rules[k].found);
        free(arena);
    }
    free(table), free(work), free(own);
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    static run one, other;
    static const fs_pus_format pus[2] = {{.version = 2, .counter_nbytes = 2, .check_nbytes = 2},
                                         {.version = 2, .telecommand = 1, .party_nbytes = 2}};
    fuzz_input in = {data, nbytes}, settings = in;
    take(&in, 26);
    fs_frame_row units[MOST] = {0};
    size_t count = take(&in, 1) % MOST;
    for (size_t i = 0; i < count; i++) {
        units[i].offset = take(&in, 1) * 2;
        units[i].kind = (uint8_t)(take(&in, 1) % 4);
        units[i].vcid = (uint8_t)(take(&in, 1) % 2);
        units[i].frame = i;
    }
    uint8_t *buf = exact(in.data, in.nbytes);
    FS_MUST(fs_tier_force(0) >= 0);
    start(&one, settings, pus);
    int64_t found = feed(&one, buf, in.nbytes, units, count);
    FS_MUST(found >= 0 || !(one.sift.packets || one.tracker.met[0]));
    for (int k = 0; k < RULES; k++)
        FS_MUST(one.rules[k].packets == one.rules[k].found + one.rules[k].wrong_length);
    FOR_EACH_TIER(level) {
        start(&other, settings, pus);
        FS_MUST(feed(&other, buf, in.nbytes, units, count) == found && other.sum == one.sum);
        FS_MUST(!memcmp(&one.tracker, &other.tracker, sizeof one.tracker));
    }
    if (found >= 0) {
        start(&other, settings, pus);
        int64_t first = feed(&other, buf, in.nbytes, units, count / 2);
        int64_t rest = feed(&other, buf, in.nbytes, units + count / 2, count - count / 2);
        FS_MUST(first + rest == found);
        FS_MUST(!memcmp(&one.tracker, &other.tracker, sizeof one.tracker));
        for (int k = 0; k < RULES; k++)
            FS_MUST(one.rules[k].packets == other.rules[k].packets &&
                    one.rules[k].wrong_length == other.rules[k].wrong_length);
    }
    free(buf);
    return 0;
}
