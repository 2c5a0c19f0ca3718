/* Columns of packets: every tier gives those of the portable kernel, and they hold what single
 * packets give. */
#include "layout_plan.h"

enum { MOST_PACKETS = 700 };

/* The slots of one packet are the elements of one row. */
static void same_as_slots(const fs_layout *layout, const uint8_t *packet, size_t row,
                          uint8_t *columns[FIELDS])
{
    uint64_t slots[FIELDS * 64 * 4];
    size_t total = 0;
    for (size_t k = 0; k < layout->nfields; k++)
        total += layout->fields[k].count;
    if (total > sizeof slots / sizeof *slots)
        return;
    uint8_t *alone = exact(packet, layout->nbytes);
    FS_MUST(fs_layout_decode(layout->fields, layout->nfields, alone, layout->nbytes, slots) ==
            (int64_t)total);
    const uint64_t *slot = slots;
    for (size_t k = 0; k < layout->nfields; k++) {
        const fs_field *f = layout->fields + k;
        for (size_t j = 0; j < f->count; j++, slot++)
            FS_MUST(f->kind == FS_FLOAT ||
                    !memcmp(columns[k] + (row * f->count + j) * f->size, slot, f->size));
    }
    free(alone);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_input in = {data, nbytes};
    fuzz_plan plan;
    uint64_t offsets[MOST_PACKETS];
    uint8_t *want[FIELDS], *got[FIELDS];
    if (!take_plan(&in, &plan))
        return 0;
    const fs_layout *layout = &plan.layout;
    size_t count = take(&in, 2) % (MOST_PACKETS + 1), stride = take(&in, 1), seed = take(&in, 2);
    int scattered = stride & 1;
    uint8_t *buf = exact(in.data, in.nbytes);
    for (size_t i = 0; i < count; i++)
        offsets[i] = (i * seed) % (in.nbytes + 1 > layout->nbytes + (stride >> 7)
                                       ? in.nbytes + 1 - layout->nbytes + (stride >> 7)
                                       : 1);
    const uint64_t *where = scattered ? offsets : NULL;
    stride >>= 1;
    make_columns(layout, count, NULL, want);
    fs_tier_force(0);
    int64_t code = fs_layout_decode_columns(layout, buf, in.nbytes, where, stride, count, want);
    for (size_t i = 0; code > 0 && i < count; i += count / 3 + 1)
        same_as_slots(layout, buf + (scattered ? offsets[i] : i * stride), i, want);
    FOR_EACH_TIER(level) {
        make_columns(layout, count, NULL, got);
        FS_MUST(fs_layout_decode_columns(layout, buf, in.nbytes, where, stride, count, got) ==
                code);
        for (size_t k = 0; k < layout->nfields; k++)
            FS_MUST(!memcmp(got[k], want[k],
                            count * layout->fields[k].count * layout->fields[k].size));
        free_columns(layout, got);
    }
    free_columns(layout, want);
    free(buf);
    return 0;
}
