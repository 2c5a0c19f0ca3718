/* Layouts of many packets, to columns.
 *
 * Columns are made field by field over blocks of packets that stay in the first-level cache: a loop
 * over the whole input for each field would fetch the input once a field. The portable kernel takes
 * each field from each packet by itself. Vectors (layout_vector.h) load the 16 octets around
 * neighbouring fields once, so fs_layout_prepare sorts the fields by place and covers them with as
 * few such windows as a walk from the front needs. */
#include "layout_kernels.h"

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
    size_t begin = 8 * (size_t)*window;
    if (f->bit < begin || (size_t)f->bit + f->width > begin + 8 * FS_WINDOW)
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

/* Where a column may begin at best: octets behind a multiple of `span`. */
static size_t spread_to(size_t nbytes, size_t k, size_t *span)
{
    enum { PAGE = 4096, SKEW = 33 * 64, MEMORY_SPAN = 1 << 18, MEMORY_SKEW = 13 * PAGE + SKEW };
    *span = nbytes < 4 * MEMORY_SPAN ? PAGE : MEMORY_SPAN;
    return k * (*span == PAGE ? SKEW : MEMORY_SKEW) % *span;
}

size_t fs_layout_spread(const fs_layout *layout, size_t count, uint8_t *arena, uint8_t **columns)
{
    enum { LINE = 64, LEAST_NBYTES = 4096 };
    size_t end = 0;
    for (size_t k = 0; k < layout->nfields; k++) {
        size_t nbytes = count * layout->fields[k].count * layout->fields[k].size, span;
        end = (end + LINE - 1) / LINE * LINE;
        if (nbytes >= LEAST_NBYTES) {
            size_t best = spread_to(nbytes, k, &span);
            end += (best - end) % span;
        }
        if (columns)
            columns[k] = arena + end;
        end += nbytes;
    }
    return end;
}

static inline const uint8_t *packet_at(const fs_block *b, size_t i)
{
    return b->strided ? b->first + i * b->stride : b->base[i];
}

#define FS_READ(type)                                                                              \
    _Pragma("GCC unroll 8") for (size_t i = 0; i < n; i++)                                         \
    {                                                                                              \
        uint64_t word = fs_load_be((strided ? first + i * stride : base[i]) + p.load);             \
        ((type *)out)[i] = (type)(is_signed ? (uint64_t)((int64_t)(word << left) >> right)         \
                                            : word >> drop & mask);                                \
    }                                                                                              \
    break

/* A field that one load holds, most significant octet first. */
static inline __attribute__((always_inline)) void
read_plain(const fs_block *b, int strided, int is_signed, const fs_field *f, fs_place p, void *out)
{
    const uint8_t *const *base = b->base, *first = b->first;
    size_t stride = b->stride, n = b->n;
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

/* Any field, packet after packet. The table is copied, so that no store can change it. */
static void read_any(const fs_block *b, const fs_field *field, uint8_t *out)
{
    const fs_field f = *field;
    const size_t n = b->n, readable = b->readable;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *packet = packet_at(b, i);
        for (uint32_t j = 0; j < f.count; j++, out += f.size) {
            fs_place p = fs_locate(f.bit + (size_t)j * f.width, f.width, readable);
            uint64_t top = fs_get_top(packet, p, f.width, f.swap);
            unsigned right = 64u - f.width;
            uint64_t v64 = f.kind == FS_INT ? (uint64_t)((int64_t)top >> right) : top >> right;
            uint32_t v32 = (uint32_t)v64;
            uint16_t v16 = (uint16_t)v64;
            if (f.size == 1)
                *out = (uint8_t)v64;
            else if (f.size == 2)
                memcpy(out, &v16, 2);
            else if (f.size == 4)
                memcpy(out, &v32, 4);
            else
                memcpy(out, &v64, 8);
        }
    }
}

#define FS_COPY(type, turn)                                                                        \
    for (size_t j = 0; j < count; j++) {                                                           \
        type value;                                                                                \
        memcpy(&value, from + j * sizeof value, sizeof value);                                     \
        value = turned ? turn(value) : value;                                                      \
        memcpy(out + j * sizeof value, &value, sizeof value);                                      \
    }                                                                                              \
    break

/* All elements of an array that stands on octets, packet after packet. */
static void read_octets(const fs_block *b, const fs_field *f, uint8_t *out)
{
    const int turned = f->swap != (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
    const size_t n = b->n, count = f->count, size = f->size, octet = f->bit / 8;
    for (size_t i = 0; i < n; i++, out += count * size) {
        const uint8_t *from = packet_at(b, i) + octet;
        switch (size) {
        case 1:
            memcpy(out, from, count);
            break;
        case 2:
            FS_COPY(uint16_t, __builtin_bswap16);
        case 4:
            FS_COPY(uint32_t, __builtin_bswap32);
        default:
            FS_COPY(uint64_t, __builtin_bswap64);
        }
    }
}

void fs_columns_field(const fs_field *f, const fs_block *b, uint8_t *column)
{
    uint8_t *out = column + b->row * f->count * f->size;
    fs_place p = fs_locate(f->bit, f->width, b->readable);
    if (f->count != 1 && f->bit % 8 == 0 && f->width == 8 * f->size)
        read_octets(b, f, out);
    else if (f->count != 1 || p.ninth || (f->swap && f->width > 8))
        read_any(b, f, out);
    else if (b->strided && f->kind == FS_INT)
        read_plain(b, 1, 1, f, p, out);
    else if (b->strided)
        read_plain(b, 1, 0, f, p, out);
    else if (f->kind == FS_INT)
        read_plain(b, 0, 1, f, p, out);
    else
        read_plain(b, 0, 0, f, p, out);
}

void fs_columns_portable(const fs_layout *layout, const fs_block *block, uint8_t *const *columns)
{
    for (size_t k = 0; k < layout->nfields; k++) {
        fs_fetch_ahead(block, k);
        fs_fetch_column(block, columns[k], (size_t)layout->fields[k].count * layout->fields[k].size);
        fs_columns_field(layout->fields + k, block, columns[k]);
    }
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
    enum { CACHES_NBYTES = 1 << 20, FETCH_NBYTES = 256 };
    uint8_t copies[FS_BLOCK_PACKETS][FS_WINDOW];
    const uint8_t *end = buf + nbytes;
    if (!within(layout->nbytes, nbytes, offsets, stride, count))
        return FS_E_SHORT;
    fs_columns_kernel *kernel = COLUMNS[fs_tier()];
    size_t need = layout->nbytes > FS_WINDOW ? layout->nbytes : FS_WINDOW;
    fs_block b; /* too large to be cleared for a few packets */
    b.stride = stride, b.readable = need, b.buf = buf;
    b.share = FS_BLOCK_PACKETS / (layout->nfields + 1) + 1;
    b.fetch = layout->nbytes < FETCH_NBYTES ? layout->nbytes : FETCH_NBYTES;
    b.stream = count > CACHES_NBYTES / (layout->row_nbytes + 1);
    for (b.row = 0; b.row < count; b.row += b.n) {
        size_t left = count - b.row;
        b.n = left < FS_BLOCK_PACKETS ? left : FS_BLOCK_PACKETS;
        size_t start = offsets ? 0 : b.row * stride;
        b.strided = !offsets && b.n == FS_BLOCK_PACKETS &&
                    nbytes - start >= (FS_BLOCK_PACKETS - 1) * stride + need;
        b.first = buf + start;
        b.next = !b.stream ? 0 : left - b.n < FS_BLOCK_PACKETS ? left - b.n : FS_BLOCK_PACKETS;
        b.offsets = offsets ? offsets + b.row + b.n : NULL;
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
