/* Layouts of many packets: values in columns.
 *
 * Columns are made field by field over blocks of packets that stay in the first-level cache: a loop
 * over the whole input for each field would fetch the input once a field. The portable kernel takes
 * each field from each packet by itself. Vectors (layout_vector.h) load the 16 octets around
 * neighbouring fields once, so fs_layout_prepare sorts the fields by place and covers them with as
 * few such windows as a walk from the front needs. */
#include "layout_kernels.h"

/* --- preparation ------------------------------------------------------------------------------ */

static int is_sound(const fs_field *f, size_t nbytes)
{
    int has_size = f->size == 1 || f->size == 2 || f->size == 4 || f->size == 8;
    int has_width = f->width >= 1 && f->width <= 64 && f->width <= 8 * f->size;
    if (!has_size || !has_width || f->kind > FS_FLOAT || (f->swap && f->width % 8))
        return 0;
    if (f->kind == FS_FLOAT && (f->width % 32 || f->width != 8 * f->size))
        return 0;
    return (uint64_t)f->count * f->width + f->bit <= 8 * (uint64_t)nbytes;
}

/* Vectors take single elements whose column is as wide as the register that ends up in it. */
static uint8_t form_of(const fs_field *f)
{
    int fits = f->size == 8 ? f->width > 32 : f->width <= 8 * f->size;
    return f->count == 1 && fits ? f->size : 0;
}

static void place_step(fs_layout_step *s, const fs_field *f, uint32_t *window, size_t readable)
{
    size_t last = readable - FS_WINDOW, octet = f->bit / 8;
    if (f->bit < 8 * (size_t)*window || f->bit + f->width > 8 * ((size_t)*window + FS_WINDOW))
        *window = (uint32_t)(octet < last ? octet : last);
    unsigned inside = (unsigned)(f->bit - 8 * (size_t)*window);
    s->window = *window;
    s->row = (uint8_t)(inside / 32);
    s->left = (uint8_t)(inside % 32);
    s->width = f->width;
    s->is_signed = f->kind == FS_INT;
    s->swap = f->swap && f->width > 8;
}

int64_t fs_layout_prepare(fs_layout *layout, const fs_field *fields, size_t nfields, size_t nbytes,
                          fs_layout_step *steps)
{
    *layout = (fs_layout){fields, steps, nfields, nbytes, 0};
    for (size_t k = 0; k < nfields; k++) {
        if (!is_sound(fields + k, nbytes))
            return FS_E_RANGE;
        layout->row_nbytes += (size_t)fields[k].count * fields[k].size;
        size_t at = k;
        for (; at && fields[steps[at - 1].field].bit > fields[k].bit; at--)
            steps[at] = steps[at - 1];
        steps[at] = (fs_layout_step){.field = (uint32_t)k, .form = form_of(fields + k)};
    }
    uint32_t window = 0;
    for (size_t k = 0; k < nfields; k++)
        if (steps[k].form)
            place_step(steps + k, fields + steps[k].field, &window,
                       nbytes > FS_WINDOW ? nbytes : FS_WINDOW);
    return (int64_t)nfields;
}

/* --- packets to columns ----------------------------------------------------------------------- */

static inline const uint8_t *packet_at(const fs_block *b, size_t i)
{
    return b->strided ? b->first + i * b->stride : b->base[i];
}

#define FS_READ(type)                                                                              \
    _Pragma("GCC unroll 8") for (size_t i = 0; i < n; i++)                                         \
    {                                                                                              \
        uint64_t word = fs_load_be((strided ? first + i * stride : base[i]) + load);               \
        ((type *)out)[i * step] = (type)(is_signed ? (uint64_t)((int64_t)(word << left) >> right)  \
                                                   : word >> drop & mask);                         \
    }                                                                                              \
    break

/* Elements that one load holds, most significant octet first: a load, two shifts and a store. */
static inline __attribute__((always_inline)) void
read_plain(const fs_block *b, int strided, int is_signed, const fs_field *f, fs_place p, void *out)
{
    const uint8_t *const *base = b->base, *first = b->first;
    size_t stride = b->stride, n = b->n, load = p.load, step = f->count;
    unsigned left = p.before, right = 64u - f->width, drop = right - left;
    uint64_t mask = UINT64_MAX >> right;
    switch (f->size) {
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

/* Every other element. */
static void read_any(const fs_block *b, const fs_field *f, fs_place p, uint8_t *out)
{
    for (size_t i = 0; i < b->n; i++, out += (size_t)f->count * f->size) {
        uint64_t top = fs_get_top(packet_at(b, i), p, f->width, f->swap);
        uint64_t value = top >> (64 - f->width);
        if (f->kind == FS_INT)
            value = fs_sign_extend(value, f->width);
        uint8_t v8 = (uint8_t)value;
        uint16_t v16 = (uint16_t)value;
        uint32_t v32 = (uint32_t)value;
        memcpy(out, f->size == 1   ? (void *)&v8
                    : f->size == 2 ? (void *)&v16
                    : f->size == 4 ? (void *)&v32
                                   : (void *)&value,
               f->size);
    }
}

void fs_columns_field(const fs_field *f, const fs_block *b, uint8_t *column)
{
    uint8_t *out = column + b->row * f->count * f->size;
    for (uint32_t j = 0; j < f->count; j++, out += f->size) {
        fs_place p = fs_locate(f->bit + (size_t)j * f->width, f->width, b->readable);
        if (p.ninth || (f->swap && f->width > 8))
            read_any(b, f, p, out);
        else if (b->strided && f->kind == FS_INT)
            read_plain(b, 1, 1, f, p, out);
        else if (b->strided)
            read_plain(b, 1, 0, f, p, out);
        else if (f->kind == FS_INT)
            read_plain(b, 0, 1, f, p, out);
        else
            read_plain(b, 0, 0, f, p, out);
    }
}

void fs_columns_portable(const fs_layout *layout, const fs_block *block, uint8_t *const *columns)
{
    for (size_t k = 0; k < layout->nfields; k++)
        fs_columns_field(layout->fields + k, block, columns[k]);
}

static fs_columns_kernel *const COLUMNS[FS_TIERS] =
    FS_KERNELS(fs_columns_portable, fs_columns_ssse3, fs_columns_avx2, fs_columns_avx512,
               fs_columns_neon, fs_columns_neon);

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
    unsigned beyond = 0;
    for (size_t i = 0; i < count; i++)
        beyond |= offsets[i] > last;
    return !beyond;
}

/* Where the packets of a block begin. A packet shorter than a window at the end of the buffer is
 * read from a copy. What vectors read behind the last packet of the block is that packet again. */
static void find_packets(fs_block *b, const fs_layout *layout, const uint8_t *buf,
                         const uint8_t *end, const uint64_t *offsets,
                         uint8_t copies[FS_BLOCK_PACKETS][FS_WINDOW])
{
    for (size_t i = 0; i < b->n; i++)
        b->base[i] = buf + (offsets ? offsets[b->row + i] : (b->row + i) * b->stride);
    for (size_t i = 0; i < b->n && layout->nbytes < FS_WINDOW; i++)
        if (end - b->base[i] < FS_WINDOW)
            b->base[i] = memcpy(memset(copies[i], 0, FS_WINDOW), b->base[i], layout->nbytes);
    for (size_t i = b->n; i < FS_BLOCK_PACKETS; i++)
        b->base[i] = b->base[b->n - 1];
}

int64_t fs_layout_decode_columns(const fs_layout *layout, const uint8_t *buf, size_t nbytes,
                                 const uint64_t *offsets, size_t stride, size_t count,
                                 uint8_t *const *columns)
{
    enum { CACHES_NBYTES = 1 << 20 };
    uint8_t copies[FS_BLOCK_PACKETS][FS_WINDOW];
    const uint8_t *end = buf + nbytes;
    if (!within(layout->nbytes, nbytes, offsets, stride, count))
        return FS_E_SHORT;
    fs_columns_kernel *kernel = COLUMNS[fs_tier()];
    size_t need = layout->nbytes > FS_WINDOW ? layout->nbytes : FS_WINDOW;
    fs_block b = {.stride = stride, .readable = need};
    b.stream = count > CACHES_NBYTES / (layout->row_nbytes + 1);
    for (; b.row < count; b.row += b.n) {
        size_t left = count - b.row;
        b.n = left < FS_BLOCK_PACKETS ? left : FS_BLOCK_PACKETS;
        size_t start = offsets ? 0 : b.row * stride;
        b.strided = !offsets && b.n == FS_BLOCK_PACKETS &&
                    nbytes - start >= (FS_BLOCK_PACKETS - 1) * stride + need;
        b.first = buf + start;
        if (!b.strided)
            find_packets(&b, layout, buf, end, offsets, copies);
        kernel(layout, &b, columns);
    }
    if (b.stream)
        __atomic_thread_fence(__ATOMIC_SEQ_CST); /* such stores are ordered by fences only */
    return (int64_t)count;
}

int64_t fs_layout_live_decode(const fs_layout_live *live, size_t count)
{
    if (count > live->capacity)
        return FS_E_CAPACITY;
    return fs_layout_decode_columns(live->layout, live->buf, live->nbytes, NULL, live->stride,
                                    count, live->columns);
}

/* --- columns to packets ----------------------------------------------------------------------- */

#define FS_WRITE(type, signed_type)                                                                \
    for (size_t i = 0; i < n; i++) {                                                               \
        type raw = ((const type *)in)[i * step];                                                   \
        uint64_t value = is_signed ? (uint64_t)(int64_t)(signed_type)raw : raw;                    \
        bad |= fs_misfit(value, width, is_signed ? FS_INT : FS_UINT);                              \
        fs_put_top(out + i * stride, p, width, swap, value);                                       \
    }                                                                                              \
    break

/* The reverse of read_column. Returns non-zero if a value does not fit; its bits are then cut. */
static inline __attribute__((always_inline)) uint64_t
write_column(const void *in, size_t step, uint8_t *out, size_t stride, size_t n, fs_place p,
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
        fs_place p = fs_locate(f->bit + (size_t)j * f->width, f->width, nbytes);
        fs_place near = {p.load, p.before, 0};
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

int64_t fs_layout_encode_columns(const fs_layout *layout, const uint8_t *blank,
                                 const uint8_t *const *columns, size_t count, uint8_t *out,
                                 size_t nbytes)
{
    enum { PACKETS_A_BLOCK = 128 };
    uint8_t scratch[PACKETS_A_BLOCK * FS_WORD];
    size_t length = layout->nbytes;
    int small = length < FS_WORD;
    size_t stride = small ? FS_WORD : length;
    if (length && count > nbytes / length)
        return FS_E_CAPACITY;
    for (size_t first = 0; first < count; first += PACKETS_A_BLOCK) {
        size_t n = count - first < PACKETS_A_BLOCK ? count - first : PACKETS_A_BLOCK;
        uint8_t *to = small ? scratch : out + first * length;
        if (small)
            memset(scratch, 0, sizeof scratch);
        for (size_t i = 0; i < n; i++)
            memcpy(to + i * stride, blank, length);
        for (size_t k = 0; k < layout->nfields; k++) {
            const fs_field *f = layout->fields + k;
            if (write_field(f, columns[k] + first * f->count * f->size, to, n, stride, length))
                return FS_E_RANGE;
        }
        for (size_t i = 0; small && i < n; i++)
            memcpy(out + (first + i) * length, scratch + i * FS_WORD, length);
    }
    return (int64_t)count;
}
