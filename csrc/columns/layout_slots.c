/* Layouts of one packet: values in slots of eight octets. */
#include "layout_kernels.h"

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
    uint8_t copy[FS_WORD] = {0};
    if (nbytes < FS_WORD)
        packet = memcpy(copy, packet, nbytes);
    uint64_t *slot = slots;
    for (const fs_field *f = plan; f < plan + nfields; f++)
        for (uint32_t j = 0; j < f->count; j++) {
            fs_place p = fs_locate(f->bit + (size_t)j * f->width, f->width, nbytes);
            uint64_t top = fs_get_top(packet, p, f->width, f->swap);
            unsigned right = 64u - f->width;
            uint64_t value = f->kind == FS_INT ? (uint64_t)((int64_t)top >> right) : top >> right;
            *slot++ = f->kind == FS_FLOAT ? widen_float(value, f->width) : value;
        }
    return slot - slots;
}

int64_t fs_layout_decode_at(const fs_layout *layout, const uint8_t *buf, size_t nbytes, size_t at,
                            uint64_t *slots)
{
    if (at > nbytes || nbytes - at < layout->nbytes)
        return FS_E_SHORT;
    return fs_layout_decode(layout->fields, layout->nfields, buf + at, layout->nbytes, slots);
}

int64_t fs_layout_encode(const fs_field *plan, size_t nfields, const uint8_t *slots,
                         uint8_t *packet, size_t nbytes)
{
    uint8_t copy[FS_WORD] = {0};
    uint8_t *to = nbytes < FS_WORD ? memcpy(copy, packet, nbytes) : packet;
    for (const fs_field *f = plan; f < plan + nfields; f++)
        for (uint32_t j = 0; j < f->count; j++) {
            uint64_t value;
            memcpy(&value, slots, sizeof value);
            slots += sizeof value;
            if (f->kind == FS_FLOAT ? narrow_float(&value, f->width) != 0
                                    : fs_misfit(value, f->width, f->kind) != 0)
                return FS_E_RANGE;
            fs_place p = fs_locate(f->bit + (size_t)j * f->width, f->width, nbytes);
            fs_put_top(to, p, f->width, f->swap, value);
        }
    if (nbytes < FS_WORD)
        memcpy(packet, copy, nbytes);
    return (int64_t)nbytes;
}
