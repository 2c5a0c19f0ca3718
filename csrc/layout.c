/* Layouts: a table of bit fields, walked both ways.
 *
 * A field is a run of 1 to 64 bits at any bit offset, most significant bit first. It is read with
 * one 64-bit big-endian load, a shift left that drops what stands before it and a shift right
 * (arithmetic for signed fields) that drops what follows. The load is moved back from the end of
 * the packet, so that it never reads past it; only a field that spreads over nine octets needs one
 * more. Packets shorter than the load go through an eight-octet copy.
 *
 * Columns are made field by field over blocks of packets that stay in the first-level cache: a loop
 * over the whole input for each field would fetch the input once a field. */
#include "flatsat.h"

#include <string.h>

enum { WORD = 8, PACKETS_A_BLOCK = 128 };

/* Where a field's bits stand relative to one load. */
typedef struct {
    size_t load;     /* octet of the load */
    unsigned before; /* bits of the load in front of the field */
    int ninth;       /* the field ends in the octet behind the load */
} place;

static place locate(size_t bit, unsigned width, size_t nbytes)
{
    size_t load = bit / 8;
    if (load + WORD > nbytes)
        load = nbytes > WORD ? nbytes - WORD : 0;
    unsigned before = (unsigned)(bit - 8 * load);
    return (place){load, before, before + width > 64};
}

static inline uint64_t load_be(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static inline void store_be(uint8_t *at, uint64_t word)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    memcpy(at, &word, sizeof word);
}

/* The field's bits, moved to the top of the word, in big-endian order of octets. */
static inline uint64_t get_top(const uint8_t *packet, place p, unsigned width, int swap)
{
    uint64_t top = load_be(packet + p.load) << p.before;
    if (p.ninth)
        top |= packet[p.load + WORD] >> (8 - p.before);
    if (swap)
        top = __builtin_bswap64(top >> (64 - width) << (64 - width)) << (64 - width);
    return top;
}

static inline void put_top(uint8_t *packet, place p, unsigned width, int swap, uint64_t value)
{
    uint64_t top = swap ? __builtin_bswap64(value) >> (64 - width) << (64 - width)
                        : value << (64 - width);
    store_be(packet + p.load, load_be(packet + p.load) | top >> p.before);
    if (p.ninth)
        packet[p.load + WORD] |= (uint8_t)(top << (8 - p.before));
}

static inline uint64_t sign_extend(uint64_t value, unsigned width)
{
    return (uint64_t)((int64_t)(value << (64 - width)) >> (64 - width));
}

/* Non-zero if the value does not fit. */
static inline uint64_t misfit(uint64_t value, unsigned width, int kind)
{
    if (kind == FS_INT)
        return sign_extend(value, width) ^ value;
    return width < 64 ? value >> width : 0;
}

/* --- one packet, values in slots of eight octets ---------------------------------------------- */

static uint64_t widen_float(uint64_t bits, unsigned width)
{
    if (width == 32) {
        uint32_t narrow = (uint32_t)bits;
        float single;
        memcpy(&single, &narrow, sizeof single);
        double wide = (double)single;
        memcpy(&bits, &wide, sizeof bits);
    }
    return bits;
}

/* Returns 0, or FS_E_RANGE for a finite number beyond the largest single. */
static int narrow_float(uint64_t *bits, unsigned width)
{
    if (width == 64)
        return 0;
    double wide;
    memcpy(&wide, bits, sizeof wide);
    float single = (float)wide;
    uint32_t narrow;
    memcpy(&narrow, &single, sizeof narrow);
    *bits = narrow;
    return __builtin_isinf(single) && !__builtin_isinf(wide) ? FS_E_RANGE : 0;
}

int64_t fs_layout_decode(const fs_field *plan, size_t nfields, const uint8_t *packet, size_t nbytes,
                         uint64_t *slots)
{
    uint8_t copy[WORD] = {0};
    if (nbytes < WORD)
        packet = memcpy(copy, packet, nbytes);
    uint64_t *slot = slots;
    for (const fs_field *f = plan; f < plan + nfields; f++)
        for (uint32_t j = 0; j < f->count; j++) {
            place p = locate(f->bit + (size_t)j * f->width, f->width, nbytes);
            uint64_t top = get_top(packet, p, f->width, f->swap);
            unsigned right = 64u - f->width;
            uint64_t value = f->kind == FS_INT ? (uint64_t)((int64_t)top >> right) : top >> right;
            *slot++ = f->kind == FS_FLOAT ? widen_float(value, f->width) : value;
        }
    return slot - slots;
}

int64_t fs_layout_encode(const fs_field *plan, size_t nfields, const uint8_t *slots,
                         uint8_t *packet, size_t nbytes)
{
    uint8_t copy[WORD] = {0};
    uint8_t *to = nbytes < WORD ? memcpy(copy, packet, nbytes) : packet;
    for (const fs_field *f = plan; f < plan + nfields; f++)
        for (uint32_t j = 0; j < f->count; j++) {
            uint64_t value;
            memcpy(&value, slots, sizeof value);
            slots += sizeof value;
            if (f->kind == FS_FLOAT ? narrow_float(&value, f->width) != 0
                                    : misfit(value, f->width, f->kind) != 0)
                return FS_E_RANGE;
            place p = locate(f->bit + (size_t)j * f->width, f->width, nbytes);
            put_top(to, p, f->width, f->swap, value);
        }
    if (nbytes < WORD)
        memcpy(packet, copy, nbytes);
    return (int64_t)nbytes;
}

/* --- many packets, values in columns ---------------------------------------------------------- */

#define FS_READ(type)                                                                              \
    for (size_t i = 0; i < n; i++) {                                                               \
        uint64_t top = get_top(base[i], p, width, swap);                                           \
        ((type *)out)[i * step] = (type)(is_signed ? (uint64_t)((int64_t)top >> right)             \
                                                   : top >> right);                                \
    }                                                                                              \
    break

/* One element of a field, from n packets into a column. Inlined once for the plain case, so that
 * its loop holds a load, two shifts and a store. */
static inline __attribute__((always_inline)) void
read_column(const uint8_t *const *base, size_t n, place p, unsigned width, int swap, int is_signed,
            unsigned size, void *out, size_t step)
{
    unsigned right = 64 - width;
    switch (size) {
    case 1:
        FS_READ(uint8_t);
    case 2:
        FS_READ(uint16_t);
    case 4:
        FS_READ(uint32_t);
    default:
        FS_READ(uint64_t);
    }
}

static void read_field(const fs_field *f, const uint8_t *const *base, size_t n, size_t nbytes,
                       uint8_t *out)
{
    for (uint32_t j = 0; j < f->count; j++, out += f->size) {
        place p = locate(f->bit + (size_t)j * f->width, f->width, nbytes);
        place near = {p.load, p.before, 0};
        int is_signed = f->kind == FS_INT;
        if (p.ninth || f->swap)
            read_column(base, n, p, f->width, f->swap, is_signed, f->size, out, f->count);
        else if (is_signed)
            read_column(base, n, near, f->width, 0, 1, f->size, out, f->count);
        else
            read_column(base, n, near, f->width, 0, 0, f->size, out, f->count);
    }
}

/* Every packet ends inside the buffer. */
static int within(size_t layout_nbytes, size_t nbytes, const uint64_t *offsets, size_t stride,
                  size_t count)
{
    if (!count)
        return 1;
    if (layout_nbytes > nbytes)
        return 0;
    size_t last = nbytes - layout_nbytes;
    if (!offsets)
        return stride == 0 || (count - 1) <= last / stride;
    for (size_t i = 0; i < count; i++)
        if (offsets[i] > last)
            return 0;
    return 1;
}

int64_t fs_layout_decode_columns(const fs_field *plan, size_t nfields, size_t layout_nbytes,
                                 const uint8_t *buf, size_t nbytes, const uint64_t *offsets,
                                 size_t stride, size_t count, uint8_t *const *columns)
{
    const uint8_t *base[PACKETS_A_BLOCK];
    uint8_t copy[PACKETS_A_BLOCK][WORD];
    if (!within(layout_nbytes, nbytes, offsets, stride, count))
        return FS_E_SHORT;
    for (size_t first = 0; first < count; first += PACKETS_A_BLOCK) {
        size_t n = count - first < PACKETS_A_BLOCK ? count - first : PACKETS_A_BLOCK;
        for (size_t i = 0; i < n; i++) {
            base[i] = buf + (offsets ? offsets[first + i] : (first + i) * stride);
            if (layout_nbytes < WORD)
                base[i] = memcpy(memset(copy[i], 0, WORD), base[i], layout_nbytes);
        }
        for (size_t k = 0; k < nfields; k++)
            read_field(plan + k, base, n, layout_nbytes,
                       columns[k] + first * plan[k].count * plan[k].size);
    }
    return (int64_t)count;
}

#define FS_WRITE(type, signed_type)                                                                \
    for (size_t i = 0; i < n; i++) {                                                               \
        type raw = ((const type *)in)[i * step];                                                   \
        uint64_t value = is_signed ? (uint64_t)(int64_t)(signed_type)raw : raw;                    \
        bad |= misfit(value, width, is_signed ? FS_INT : FS_UINT);                                 \
        put_top(out + i * stride, p, width, swap, value);                                          \
    }                                                                                              \
    break

/* The reverse of read_column. Returns non-zero if a value does not fit; its bits are then cut. */
static inline __attribute__((always_inline)) uint64_t
write_column(const void *in, size_t step, uint8_t *out, size_t stride, size_t n, place p,
             unsigned width, int swap, int is_signed, unsigned size)
{
    uint64_t bad = 0;
    switch (size) {
    case 1:
        FS_WRITE(uint8_t, int8_t);
    case 2:
        FS_WRITE(uint16_t, int16_t);
    case 4:
        FS_WRITE(uint32_t, int32_t);
    default:
        FS_WRITE(uint64_t, int64_t);
    }
    return bad;
}

static uint64_t write_field(const fs_field *f, const uint8_t *in, uint8_t *out, size_t n,
                            size_t stride, size_t nbytes)
{
    uint64_t bad = 0;
    for (uint32_t j = 0; j < f->count; j++, in += f->size) {
        place p = locate(f->bit + (size_t)j * f->width, f->width, nbytes);
        place near = {p.load, p.before, 0};
        int is_signed = f->kind == FS_INT;
        if (p.ninth || f->swap)
            bad |= write_column(in, f->count, out, stride, n, p, f->width, f->swap, is_signed,
                                f->size);
        else if (is_signed)
            bad |= write_column(in, f->count, out, stride, n, near, f->width, 0, 1, f->size);
        else
            bad |= write_column(in, f->count, out, stride, n, near, f->width, 0, 0, f->size);
    }
    return bad;
}

int64_t fs_layout_encode_columns(const fs_field *plan, size_t nfields, const uint8_t *blank,
                                 size_t layout_nbytes, const uint8_t *const *columns, size_t count,
                                 uint8_t *out, size_t nbytes)
{
    uint8_t scratch[PACKETS_A_BLOCK * WORD];
    int small = layout_nbytes < WORD;
    size_t stride = small ? WORD : layout_nbytes;
    if (nbytes < count * layout_nbytes)
        return FS_E_CAPACITY;
    for (size_t first = 0; first < count; first += PACKETS_A_BLOCK) {
        size_t n = count - first < PACKETS_A_BLOCK ? count - first : PACKETS_A_BLOCK;
        uint8_t *to = small ? scratch : out + first * layout_nbytes;
        if (small)
            memset(scratch, 0, sizeof scratch);
        for (size_t i = 0; i < n; i++)
            memcpy(to + i * stride, blank, layout_nbytes);
        for (size_t k = 0; k < nfields; k++)
            if (write_field(plan + k, columns[k] + first * plan[k].count * plan[k].size, to, n,
                            stride, layout_nbytes))
                return FS_E_RANGE;
        for (size_t i = 0; small && i < n; i++)
            memcpy(out + (first + i) * layout_nbytes, scratch + i * WORD, layout_nbytes);
    }
    return (int64_t)count;
}
