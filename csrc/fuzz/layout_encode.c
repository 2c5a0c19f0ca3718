/* Columns to packets: what was encoded without an error decodes to the same columns, if no field
 * lies over another. */
#include "layout_plan.h"

enum { MOST_PACKETS = 300 };

static int is_apart(const fs_layout *layout)
{
    uint8_t used[8 * 256] = {0};
    for (size_t k = 0; k < layout->nfields; k++)
        for (size_t b = 0; b < (size_t)layout->fields[k].count * layout->fields[k].width; b++)
            if (used[layout->fields[k].bit + b]++)
                return 0;
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_input in = {data, nbytes};
    fuzz_plan plan;
    uint8_t *columns[FIELDS], *again[FIELDS];
    if (!take_plan(&in, &plan))
        return 0;
    const fs_layout *layout = &plan.layout;
    size_t count = take(&in, 2) % (MOST_PACKETS + 1), size = count * layout->nbytes;
    make_columns(layout, count, &in, columns);
    uint8_t *out = exact(NULL, size), *blank = exact(NULL, layout->nbytes);
    const uint8_t *const *ins = (const uint8_t *const *)columns;
    int64_t code = fs_layout_encode_columns(layout, blank, ins, count, out, size);
    FS_MUST(code == (int64_t)count || code == FS_E_RANGE);
    if (size)
        FS_MUST(fs_layout_encode_columns(layout, blank, ins, count, out, size - 1) ==
                FS_E_CAPACITY);
    FOR_EACH_TIER(level) {
        if (code < 0 || !is_apart(layout))
            continue;
        make_columns(layout, count, NULL, again);
        FS_MUST(fs_layout_decode_columns(layout, out, size, NULL, layout->nbytes, count, again) ==
                (int64_t)count);
        for (size_t k = 0; k < layout->nfields; k++)
            FS_MUST(!memcmp(again[k], columns[k],
                            count * layout->fields[k].count * layout->fields[k].size));
        free_columns(layout, again);
    }
    free_columns(layout, columns);
    free(out);
    free(blank);
    return 0;
}
