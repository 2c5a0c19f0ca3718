/* What fuzz targets share. A target is one file here, named after what it feeds: it defines
 * LLVMFuzzerTestOneInput and calls the codec with buffers from exact(), so that one octet too far is
 * found. A differential target runs the same input on every tier and asserts equal bytes. */
#ifndef FLATSAT_FUZZ_H
#define FLATSAT_FUZZ_H

#include "flatsat.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes);

/* Holds in every build, unlike assert. */
#define FS_MUST(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            __builtin_trap();                                                                      \
    } while (0)

/* A heap block of exactly nbytes, a copy of data or zeros if that is NULL; free() it. */
static inline uint8_t *exact(const uint8_t *data, size_t nbytes)
{
    uint8_t *copy = malloc(nbytes);
    FS_MUST(copy);
    if (!nbytes)
        return copy;
    if (data)
        memcpy(copy, data, nbytes);
    else
        memset(copy, 0, nbytes);
    return copy;
}

/* Takes numbers off the front of an input, zeros when it is used up. */
typedef struct {
    const uint8_t *data;
    size_t nbytes;
} fuzz_input;

static inline uint64_t take(fuzz_input *in, unsigned noctets)
{
    uint64_t value = 0;
    for (; noctets && in->nbytes; noctets--, in->data++, in->nbytes--)
        value = value << 8 | *in->data;
    return value;
}

/* Every level that this processor runs, the portable one first. */
#define FOR_EACH_TIER(level)                                                                       \
    for (int32_t level = 0; level <= fs_tier_best(); level++)                                      \
        if (fs_tier_force(level) >= 0)

#endif
