/* One packet: slots that fit give a packet that gives them back, whatever else is refused; and a
 * live batch is what columns of the same packets are. */
#include "layout_plan.h"

enum { SLOTS = 2048, ROWS = 5 };

/* Whether two fields share a bit: such layouts have no way back. */
static int overlap(const fs_layout *layout)
{
    for (size_t i = 0; i < layout->nfields; i++)
        for (size_t k = 0; k < i; k++) {
            const fs_field *a = layout->fields + i, *b = layout->fields + k;
            if (a->bit < b->bit + b->count * b->width && b->bit < a->bit + a->count * a->width)
                return 1;
        }
    return 0;
}

static void live(const fs_layout *layout, const fuzz_input *in, size_t stride)
{
    uint8_t *want[FIELDS], *got[FIELDS], *buf = exact(in->data, in->nbytes);
    make_columns(layout, ROWS, NULL, want);
    make_columns(layout, ROWS, NULL, got);
    fs_layout_live live = {layout, buf, in->nbytes, stride, got, ROWS};
    FS_MUST(fs_layout_live_decode(&live, ROWS + 1) == FS_E_CAPACITY);
    for (size_t count = 0; count <= ROWS; count++)
        FS_MUST(fs_layout_live_decode(&live, count) ==
                fs_layout_decode_columns(layout, buf, in->nbytes, NULL, stride, count, want));
    for (size_t k = 0; k < layout->nfields; k++)
        FS_MUST(!memcmp(want[k], got[k], ROWS * layout->fields[k].count * layout->fields[k].size));
    free_columns(layout, want);
    free_columns(layout, got);
    free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_input in = {data, nbytes};
    fuzz_plan plan;
    size_t total = 0;
    if (!take_plan(&in, &plan))
        return 0;
    const fs_layout *layout = &plan.layout;
    for (size_t k = 0; k < layout->nfields; k++)
        total += layout->fields[k].count;
    if (total > SLOTS)
        return 0;
    live(layout, &in, take(&in, 1));
    uint64_t *slots = (uint64_t *)exact(NULL, total * sizeof *slots), *again = NULL;
    size_t at = 0;
    int cut = (int)take(&in, 1) % 8; /* seldom leave values that do not fit */
    for (size_t k = 0; k < layout->nfields; k++)
        for (uint32_t j = 0; j < layout->fields[k].count; j++, at++) {
            const fs_field *f = layout->fields + k;
            uint64_t value = take(&in, 8) >> (cut ? 64 - f->width : 0);
            if (cut && f->kind == FS_INT)
                value = (uint64_t)((int64_t)(value << (64 - f->width)) >> (64 - f->width));
            slots[at] = f->kind == FS_FLOAT ? 0x3FF0000000000000 : value;
        }
    uint8_t *packet = exact(NULL, layout->nbytes);
    int64_t made = fs_layout_encode(layout->fields, layout->nfields, (const uint8_t *)slots, packet,
                                    layout->nbytes);
    FS_MUST(made == (int64_t)layout->nbytes || (made == FS_E_RANGE && !cut));
    if (made >= 0 && !overlap(layout)) {
        again = (uint64_t *)exact(NULL, total * sizeof *slots);
        FS_MUST(fs_layout_decode(layout->fields, layout->nfields, packet, layout->nbytes, again) ==
                (int64_t)total);
        FS_MUST(!memcmp(slots, again, total * sizeof *slots));
        memset(again, 0, total * sizeof *slots);
        FS_MUST(fs_layout_decode_at(layout, packet, layout->nbytes, 1, again) == FS_E_SHORT);
        FS_MUST(fs_layout_decode_at(layout, packet, layout->nbytes, 0, again) == (int64_t)total);
        FS_MUST(!memcmp(slots, again, total * sizeof *slots));
    }
    free(again);
    free(packet);
    free(slots);
    return 0;
}
