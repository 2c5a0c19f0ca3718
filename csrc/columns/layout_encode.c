/* Layouts of many packets, from columns: the fields are put one after the other into a block of
 * packets that stays in the first-level cache. Packets shorter than a scalar store are made in a
 * copy. */
#include "layout_kernels.h"

#define FS_WRITE(type, signed_type)                                                                \
    for (size_t i = 0; i < n; i++) {                                                               \
        type raw = ((const type *)in)[i * step];                                                   \
        uint64_t value = is_signed ? (uint64_t)(int64_t)(signed_type)raw : raw;                    \
        bad |= fs_misfit(value, width, is_signed ? FS_INT : FS_UINT);                              \
        fs_put_top(out + i * stride, p, width, swap, value);                                       \
    }                                                                                              \
    break

/* One element of a field. Returns non-zero if a value does not fit; its bits are then cut. */
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

#define FS_COPY(type, turn)                                                                        \
    for (size_t j = 0; j < count; j++) {                                                           \
        type value;                                                                                \
        memcpy(&value, in + j * sizeof value, sizeof value);                                       \
        value = turned ? turn(value) : value;                                                      \
        memcpy(to + j * sizeof value, &value, sizeof value);                                       \
    }                                                                                              \
    break

/* All elements of an array that stands on octets, packet after packet; they always fit. */
static void write_octets(const fs_field *f, const uint8_t *in, uint8_t *out, size_t n,
                         size_t stride)
{
    const int turned = f->swap != (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
    const size_t count = f->count, size = f->size, octet = f->bit / 8;
    for (size_t i = 0; i < n; i++, in += count * size) {
        uint8_t *to = out + i * stride + octet;
        switch (size) {
        case 1:
            memcpy(to, in, count);
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

static uint64_t write_field(const fs_field *f, const uint8_t *in, uint8_t *out, size_t n,
                            size_t stride, size_t nbytes)
{
    uint64_t bad = 0;
    if (f->count != 1 && f->bit % 8 == 0 && f->width == 8 * f->size) {
        write_octets(f, in, out, n, stride);
        return 0;
    }
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
