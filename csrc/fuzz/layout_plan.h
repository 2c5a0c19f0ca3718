/* Plans for the targets of the layouts: up to FIELDS fields, sound or not, from an input. */
#ifndef FLATSAT_FUZZ_LAYOUT_PLAN_H
#define FLATSAT_FUZZ_LAYOUT_PLAN_H

#include "fuzz.h"

enum { FIELDS = 12 };

typedef struct {
    fs_layout layout;
    fs_field fields[FIELDS];
    fs_layout_step steps[FIELDS];
} fuzz_plan;

static inline int take_plan(fuzz_input *in, fuzz_plan *plan)
{
    size_t n = take(in, 1) % (FIELDS + 1), nbytes = take(in, 1);
    for (size_t k = 0; k < n; k++) {
        uint64_t shape = take(in, 2);
        fs_field *f = plan->fields + k;
        f->bit = (uint32_t)(take(in, 2) % (8 * nbytes + 1));
        f->width = (uint8_t)(1 + shape % 64);
        f->kind = (uint8_t)(shape >> 6 & 1);
        f->size = f->width <= 8 ? 1 : f->width <= 16 ? 2 : f->width <= 32 ? 4 : 8;
        if (shape >> 7 & 1 && f->size < 8)
            f->size *= 2;
        f->swap = f->width % 8 == 0 && (shape >> 8 & 1);
        f->count = shape >> 9 & 1 ? (uint32_t)(shape >> 10 & 15) : 1;
        if (shape >> 14 == 3)
            *f = (fs_field){f->bit, f->count, (uint8_t)take(in, 1), (uint8_t)take(in, 1),
                            (uint8_t)take(in, 1), (uint8_t)take(in, 1)};
    }
    return fs_layout_prepare(&plan->layout, plan->fields, n, nbytes, plan->steps) >= 0;
}

/* A column for each field, of `count` rows, zeroed or copied from an input. */
static inline void make_columns(const fs_layout *layout, size_t count, fuzz_input *in,
                                uint8_t *columns[FIELDS])
{
    for (size_t k = 0; k < layout->nfields; k++) {
        size_t nbytes = count * layout->fields[k].count * layout->fields[k].size;
        columns[k] = exact(NULL, nbytes);
        for (size_t i = 0; in && i < nbytes && in->nbytes; i++)
            columns[k][i] = (uint8_t)take(in, 1);
    }
}

static inline void free_columns(const fs_layout *layout, uint8_t *columns[FIELDS])
{
    for (size_t k = 0; k < layout->nfields; k++)
        free(columns[k]);
}

#endif
