/* What both directions of variable layouts share: bits, expressions, time codes, half floats. */
#ifndef FLATSAT_VARIABLE_KERNELS_H
#define FLATSAT_VARIABLE_KERNELS_H

#include "flatsat.h"
#include "words.h"

#include <string.h>

/* A packet at work. Bits count from the start of buf, which ends at nbytes. */
typedef struct {
    const fs_program *program;
    fs_table *table; /* NULL: slots */
    const uint8_t *buf;
    uint8_t *out;
    size_t nbytes;
    uint64_t start, bit, end;
    uint64_t known; /* registers that hold a value */
    uint64_t wide;  /* registers whose value has no place in an int64_t */
    int64_t regs[FS_REGISTERS];
    uint64_t *slots;
    size_t nslots, room;
    const uint8_t *octets;
    size_t noctets;
    int64_t number; /* for the fault */
} fs_machine;

/* A list being walked: its operation, the elements to come, and where its length goes. */
typedef struct {
    uint32_t op;
    uint64_t left;
    size_t slot;
} fs_frame;

/* Least significant octet first, or back. */
static inline uint64_t fs_swap_octets(uint64_t value, unsigned width)
{
    return __builtin_bswap64(value) >> (64 - width);
}

static inline uint64_t fs_sign_extend(uint64_t value, unsigned width)
{
    return (uint64_t)((int64_t)(value << (64 - width)) >> (64 - width));
}

/* `width` bits (1 to 64) at `bit`, all of them inside the buffer. */
static inline uint64_t fs_get_bits(const uint8_t *buf, size_t nbytes, uint64_t bit, unsigned width)
{
    size_t at = bit >> 3;
    unsigned before = bit & 7;
    uint8_t copy[9] = {0};
    const uint8_t *from = buf + at;
    if (nbytes - at < sizeof copy)
        from = memcpy(copy, from, nbytes - at);
    uint64_t top = fs_load_be(from) << before;
    if (before + width > 64)
        top |= from[8] >> (8 - before);
    return top >> (64 - width);
}

/* Writes `width` bits behind those in front of `bit`, zeros up to the octet's end. The bits fit. */
static inline void fs_put_bits(uint8_t *out, size_t nbytes, uint64_t bit, unsigned width,
                               uint64_t value)
{
    size_t at = bit >> 3;
    unsigned before = bit & 7;
    uint8_t copy[9] = {0};
    uint64_t top = value << (64 - width);
    uint64_t word = top >> before;
    if (before)
        word |= (uint64_t)(out[at] & ~(0xFFu >> before)) << 56;
    uint8_t *to = nbytes - at < sizeof copy ? copy : out + at;
    fs_store_be(to, word);
    if (before + width > 64)
        to[8] = (uint8_t)(top << (8 - before));
    if (to == copy)
        memcpy(out + at, copy, (before + width + 7) / 8);
}

static inline uint64_t fs_load_value(const uint8_t *column, uint64_t index, unsigned size)
{
    uint16_t half;
    uint32_t word;
    uint64_t value;
    switch (size) {
    case 1:
        return column[index];
    case 2:
        memcpy(&half, column + 2 * index, 2);
        return half;
    case 4:
        memcpy(&word, column + 4 * index, 4);
        return word;
    default:
        memcpy(&value, column + 8 * index, 8);
        return value;
    }
}

static inline void fs_store_value(uint8_t *column, uint64_t index, unsigned size, uint64_t value)
{
    uint16_t half = (uint16_t)value;
    uint32_t word = (uint32_t)value;
    switch (size) {
    case 1:
        column[index] = (uint8_t)value;
        break;
    case 2:
        memcpy(column + 2 * index, &half, 2);
        break;
    case 4:
        memcpy(column + 4 * index, &word, 4);
        break;
    default:
        memcpy(column + 8 * index, &value, 8);
    }
}

/* Keeps the value that expressions further on may use. */
static inline void fs_keep(fs_machine *m, const fs_op *op, uint64_t value)
{
    if (!op->reg)
        return;
    if (op->flag)
        value = value != 0;
    uint64_t mark = (uint64_t)1 << (op->reg - 1);
    m->regs[op->reg - 1] = (int64_t)value;
    int wide = op->kind == FS_UINT && value >> 63;
    m->wide = wide ? m->wide | mark : m->wide & ~mark;
    m->known |= mark;
}

/* Value of an operation's expression; FS_V_ABSENT or FS_V_ARITHMETIC if it has none. */
uint32_t fs_variable_eval(const fs_machine *m, const fs_op *op, int64_t *result);

/* Time in `nbytes` octets to nanoseconds and back; FS_V_RANGE or FS_V_FORMAT. */
uint32_t fs_time_decode(const uint8_t *octets, size_t nbytes, unsigned kind, unsigned fine,
                        int64_t *t_ns);
uint32_t fs_time_encode(int64_t t_ns, unsigned kind, unsigned fine, uint8_t *octets, size_t nbytes);

/* Bits of a float of 16, 32 or 64 bits to those of a double and back; the way back gives FS_V_RANGE
 * for a finite number beyond the largest one. */
uint64_t fs_float_widen(uint64_t bits, unsigned width);
uint32_t fs_float_narrow(uint64_t *bits, unsigned width);

#endif
