/* What the sources of the layouts share: bits of one packet, and kernels over blocks of packets.
 *
 * A field is a run of 1 to 64 bits at any bit offset, most significant bit first. It is read with
 * one 64-bit big-endian load, a shift left that drops what stands before it and a shift right
 * (arithmetic for signed fields) that drops what follows. The load is moved back from the end of
 * the readable octets, so that it never reads past them; only a field that spreads over nine octets
 * needs one more. */
#ifndef FLATSAT_LAYOUT_KERNELS_H
#define FLATSAT_LAYOUT_KERNELS_H

#include "flatsat.h"
#include "words.h"

#include <string.h>

enum {
    FS_WORD = 8,           /* octets of a scalar load */
    FS_WINDOW = 16,        /* octets of a vector's load */
    FS_BLOCK_PACKETS = 256, /* whole cache lines of every column */
};

/* Where a field's bits stand relative to one load. */
typedef struct {
    size_t load;     /* octet of the load */
    unsigned before; /* bits of the load in front of the field */
    int ninth;       /* the field ends in the octet behind the load */
} fs_place;

static inline fs_place fs_locate(size_t bit, unsigned width, size_t nbytes)
{
    size_t load = bit / 8;
    if (load + FS_WORD > nbytes)
        load = nbytes > FS_WORD ? nbytes - FS_WORD : 0;
    unsigned before = (unsigned)(bit - 8 * load);
    return (fs_place){load, before, before + width > 64};
}

/* The field's bits, moved to the top of the word, in big-endian order of octets. */
static inline uint64_t fs_get_top(const uint8_t *packet, fs_place p, unsigned width, int swap)
{
    uint64_t top = fs_load_be(packet + p.load) << p.before;
    if (p.ninth)
        top |= packet[p.load + FS_WORD] >> (8 - p.before);
    if (swap)
        top = __builtin_bswap64(top >> (64 - width) << (64 - width)) << (64 - width);
    return top;
}

static inline void fs_put_top(uint8_t *packet, fs_place p, unsigned width, int swap, uint64_t value)
{
    uint64_t top = swap ? __builtin_bswap64(value) >> (64 - width) << (64 - width)
                        : value << (64 - width);
    fs_store_be(packet + p.load, fs_load_be(packet + p.load) | top >> p.before);
    if (p.ninth)
        packet[p.load + FS_WORD] |= (uint8_t)(top << (8 - p.before));
}

static inline uint64_t fs_sign_extend(uint64_t value, unsigned width)
{
    return (uint64_t)((int64_t)(value << (64 - width)) >> (64 - width));
}

/* Non-zero if the value does not fit. */
static inline uint64_t fs_misfit(uint64_t value, unsigned width, int kind)
{
    if (kind == FS_INT)
        return fs_sign_extend(value, width) ^ value;
    return width < 64 ? value >> width : 0;
}

/* Up to FS_BLOCK_PACKETS packets on their way into columns. Of each packet, `readable` octets may
 * be read, at least FS_WINDOW: what its layout lacks of that comes from the packets behind, or from
 * a copy. */
typedef struct {
    const uint8_t *base[FS_BLOCK_PACKETS]; /* unless strided; all of it is filled */
    const uint8_t *first;
    size_t stride;
    size_t readable;
    size_t row; /* in the columns, of the first packet */
    size_t n;
    const uint8_t *buf;
    const uint64_t *offsets; /* of the next block, or null */
    size_t next;             /* packets in the next block that are to be fetched ahead */
    size_t share;            /* of them, for each field of this one */
    size_t fetch;            /* octets of each */
    int strided; /* packets stand at first + i * stride, and n is FS_BLOCK_PACKETS */
    int stream;  /* columns are too large for the caches */
} fs_block;

/* While field k of a block is made, part of the next block is fetched, so that memory works beside
 * the shifts. Inlined at once, because GCC drops calls of functions that only fetch. */
static inline __attribute__((always_inline)) void fs_fetch_ahead(const fs_block *b, size_t k)
{
    enum { LINE = 64 };
    size_t first = k * b->share, end = first + b->share < b->next ? first + b->share : b->next;
    size_t behind = b->row + b->n;
    if (first >= end)
        return;
    if (!b->offsets && b->stride <= b->fetch) {
        const uint8_t *stop = b->buf + (behind + end) * b->stride;
        for (const uint8_t *at = b->buf + (behind + first) * b->stride; at < stop; at += LINE)
            __builtin_prefetch(at);
        return;
    }
    for (size_t i = first; i < end; i++) {
        const uint8_t *at = b->buf + (b->offsets ? b->offsets[i] : (behind + i) * b->stride);
        for (size_t octet = 0; octet < b->fetch; octet += LINE)
            __builtin_prefetch(at + octet);
    }
}

/* The same of the part of a column that the next block fills: a store to a line that is not in a cache
 * fetches it first. */
static inline __attribute__((always_inline)) void fs_fetch_column(const fs_block *b,
                                                                  const uint8_t *column,
                                                                  size_t row_nbytes)
{
    enum { LINE = 64 };
    const uint8_t *at = column + (b->row + b->n) * row_nbytes, *end = at + b->next * row_nbytes;
    for (; at < end; at += LINE)
        __builtin_prefetch(at, 1);
}

/* All fields of the block into the columns. */
typedef void fs_columns_kernel(const fs_layout *layout, const fs_block *block,
                               uint8_t *const *columns);

fs_columns_kernel fs_columns_portable;
fs_columns_kernel fs_columns_ssse3;
fs_columns_kernel fs_columns_avx2;
fs_columns_kernel fs_columns_avx512;
fs_columns_kernel fs_columns_neon;

/* One field of the block, into its column; also for the vector kernels. */
void fs_columns_field(const fs_field *field, const fs_block *block, uint8_t *column);

#endif
