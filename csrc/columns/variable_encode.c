/* Variable layouts, from values to packets: the walk of variable.c the other way, inlined twice. */
#include "variable_kernels.h"

#define FS_INLINE static inline __attribute__((always_inline))

static uint8_t *column_of(const fs_machine *m, uint32_t column)
{
    return m->table->columns[column - 1];
}

static uint32_t put(fs_machine *m, unsigned width, uint64_t value)
{
    if (width > m->end - m->bit)
        return FS_V_ROOM;
    fs_put_bits(m->out, m->nbytes, m->bit, width, value);
    m->bit += width;
    return FS_V_GOOD;
}

static uint32_t pull(fs_machine *m, uint64_t *slot)
{
    if (m->nslots == m->room)
        return FS_V_ABSENT;
    *slot = m->slots[m->nslots++];
    return FS_V_GOOD;
}

/* Writes a value as it stands in its column; FS_V_RANGE if it does not fit. */
static uint32_t put_value(fs_machine *m, const fs_op *op, uint64_t value)
{
    m->number = (int64_t)value;
    if (op->kind >= FS_CUC) {
        uint8_t octets[32];
        size_t nbytes = op->width / 8;
        uint32_t code = fs_time_encode((int64_t)value, op->kind, op->fine, octets, nbytes);
        for (size_t k = 0; k < nbytes && !code; k++)
            code = put(m, 8, octets[k]);
        return code;
    }
    int fits = op->kind == FS_INT ? fs_sign_extend(value, op->width) == value
                                  : op->width == 64 || value >> op->width == 0;
    if (!fits)
        return FS_V_RANGE;
    fs_keep(m, op, value);
    if (op->swap)
        value = fs_swap_octets(value, op->width);
    return put(m, op->width, value);
}

/* The value at an index of the column, or the next slot. */
FS_INLINE uint32_t take_value(fs_machine *m, const fs_op *op, uint64_t at, uint64_t *value,
                              const int one)
{
    if (one) {
        uint32_t code = pull(m, value);
        if (!code && op->kind == FS_FLOAT)
            code = fs_float_narrow(value, op->width);
        return code;
    }
    if (!op->column || !column_of(m, op->column))
        return FS_V_ABSENT;
    *value = fs_load_value(column_of(m, op->column), at, op->size);
    if (op->kind == FS_INT && op->size < 8)
        *value = fs_sign_extend(*value, 8u * op->size);
    return FS_V_GOOD;
}

/* n octets from index `at` of the column, or from where the next slot says. */
FS_INLINE uint32_t put_octets(fs_machine *m, const fs_op *op, uint64_t at, uint64_t n, const int one)
{
    const uint8_t *from = m->octets;
    uint64_t noctets = m->noctets;
    if (one) {
        uint32_t code = pull(m, &at);
        if (code)
            return code;
    } else {
        if (n && (!op->column || !column_of(m, op->column)))
            return FS_V_ABSENT;
        from = n ? column_of(m, op->column) : from;
        noctets = UINT64_MAX;
    }
    if (n > noctets || at > noctets - n)
        return FS_V_ABSENT;
    if (n > (m->end - m->bit) >> 3)
        return FS_V_ROOM;
    if (op->op == FS_OP_LIST && op->ends == FS_BY_ZERO && n && memchr(from + at, 0, n))
        return FS_V_ZERO;
    if (n)
        memcpy(m->out + (m->bit >> 3), from + at, n);
    m->bit += 8 * n;
    return FS_V_GOOD;
}

FS_INLINE uint32_t write_field(fs_machine *m, const fs_op *op, const int one)
{
    uint64_t value, at = one ? 0 : m->table->total[op->scope] * op->elements;
    uint32_t code = FS_V_GOOD;
    if (op->kind == FS_OCTETS)
        return put_octets(m, op, at, op->elements, one);
    for (uint32_t j = 0; j < op->elements && !code; j++) {
        if (op->nterms && !one) {
            int64_t result;
            code = fs_variable_eval(m, op, &result);
            value = (uint64_t)result;
            m->number = result;
        } else {
            code = take_value(m, op, at + j, &value, one);
        }
        if (!code)
            code = put_value(m, op, value);
    }
    return code;
}

static uint32_t write_fixed(fs_machine *m, const fs_op *op)
{
    uint32_t code = FS_V_GOOD;
    for (uint32_t j = 0; j < op->elements && !code; j++)
        code = put(m, op->width, op->value);
    return code;
}

/* Where a list begins among the values of its scope and how many elements it has; FS_V_LENGTH if
 * its count says another number. */
FS_INLINE uint32_t find_list(fs_machine *m, const fs_op *op, uint64_t *at, uint64_t *n,
                             const int one)
{
    uint32_t code;
    *at = 0;
    if (one) {
        if ((code = pull(m, n)))
            return code;
    } else {
        const uint8_t *offsets = column_of(m, op->offsets);
        uint64_t k = m->table->total[op->scope];
        *at = fs_load_value(offsets, k, 8);
        *n = fs_load_value(offsets, k + 1, 8) - *at;
    }
    if (op->ends != FS_BY_COUNT)
        return FS_V_GOOD;
    int64_t count;
    if ((code = fs_variable_eval(m, op, &count)))
        return code;
    m->number = (int64_t)*n;
    return count < 0 || (uint64_t)count != *n ? FS_V_LENGTH : FS_V_GOOD;
}

FS_INLINE uint32_t write_list(fs_machine *m, const fs_op *op, const int one)
{
    uint64_t at, n, value;
    uint32_t code = find_list(m, op, &at, &n, one);
    if (code)
        return code;
    if (op->kind == FS_OCTETS) {
        code = put_octets(m, op, at, n, one);
    } else {
        for (uint64_t j = 0; j < n && !code; j++)
            if (!(code = take_value(m, op, at + j, &value, one)))
                code = put_value(m, op, value);
    }
    return !code && op->ends == FS_BY_ZERO ? put(m, 8, 0) : code;
}

/* Lists of a group that is absent must be empty: nothing is left out without a word. */
static uint32_t nothing_given(fs_machine *m, const fs_op *op, const fs_op *end)
{
    while (op < end) {
        if (op->op == FS_OP_LIST || op->op == FS_OP_REPEAT) {
            const uint8_t *offsets = column_of(m, op->offsets);
            uint64_t k = m->table->total[op->scope];
            m->number = (int64_t)(fs_load_value(offsets, k + 1, 8) - fs_load_value(offsets, k, 8));
            if (m->number)
                return FS_V_LENGTH;
        }
        op = op->op == FS_OP_REPEAT ? m->program->ops + op->jump : op + 1;
    }
    return FS_V_GOOD;
}

FS_INLINE uint32_t write_group(fs_machine *m, const fs_op *op, uint32_t *i, const int one)
{
    int64_t there;
    uint64_t given = 0;
    uint32_t code = fs_variable_eval(m, op, &there);
    if (!code && one && !(code = pull(m, &given)) && (given != 0) != (there != 0))
        code = FS_V_FORMAT;
    if (code)
        return code;
    if (there)
        return ++*i, FS_V_GOOD;
    m->known &= ~op->value;
    if (!one)
        code = nothing_given(m, op + 1, m->program->ops + op->jump);
    *i = op->jump;
    return code;
}

/* To the first operation of the list's next element, or behind the list. */
static int go_on(fs_machine *m, fs_frame *f, uint32_t *i)
{
    *i = f->left ? f->op + 1 : m->program->ops[f->op].jump;
    return f->left ? f->left--, 1 : 0;
}

/* Walks one packet; *i is the operation at fault. */
FS_INLINE uint32_t write_packet(fs_machine *m, uint32_t *i, const int one)
{
    fs_frame frames[FS_NESTED], *top;
    uint32_t code = FS_V_GOOD, next, depth = 0;
    uint64_t at = 0;
    m->known = 0;
    while (*i < m->program->nops && !code) {
        const fs_op *op = m->program->ops + *i;
        next = *i + 1;
        switch (op->op) {
        case FS_OP_FIELD:
            code = write_field(m, op, one);
            break;
        case FS_OP_FIXED:
            code = write_fixed(m, op);
            break;
        case FS_OP_GROUP:
            next = *i;
            code = write_group(m, op, &next, one);
            break;
        case FS_OP_LIST:
            code = write_list(m, op, one);
            break;
        case FS_OP_REPEAT:
            top = frames + depth++;
            *top = (fs_frame){*i, 0, 0};
            code = find_list(m, op, &at, &top->left, one);
            if (!code && !one)
                m->table->total[op->inner] = at;
            depth -= !code && !go_on(m, top, &next);
            break;
        case FS_OP_END:
            if (!one)
                m->table->total[m->program->ops[op->jump].inner]++;
            depth -= !go_on(m, frames + depth - 1, &next);
            break;
        default:
            code = m->bit & 7 ? FS_V_PARTIAL : FS_V_GOOD;
        }
        *i = code ? *i : next;
    }
    return code;
}

int64_t fs_variable_encode(const fs_program *program, fs_table *table, uint64_t count, uint8_t *out,
                           size_t nbytes, uint64_t *ends, fs_fault *fault)
{
    fs_machine m = {.program = program, .table = table, .out = out, .nbytes = nbytes};
    m.end = 8 * (uint64_t)nbytes;
    for (; table->total[0] < count; table->total[0]++) {
        uint32_t op = 0;
        m.start = m.bit;
        uint32_t code = write_packet(&m, &op, 0);
        if (code) {
            *fault = (fs_fault){table->total[0], code, op, m.bit - m.start, m.number};
            return FS_E_RANGE;
        }
        ends[table->total[0]] = m.bit >> 3;
    }
    return (int64_t)(m.bit >> 3);
}

int64_t fs_variable_encode_one(const fs_program *program, const uint64_t *slots, size_t nslots,
                               const uint8_t *octets, size_t noctets, uint8_t *out, size_t nbytes,
                               fs_fault *fault)
{
    fs_machine m = {.program = program, .out = out, .nbytes = nbytes, .octets = octets};
    m.noctets = noctets;
    m.slots = (uint64_t *)slots;
    m.room = nslots;
    m.end = 8 * (uint64_t)nbytes;
    uint32_t op = 0, code = write_packet(&m, &op, 1);
    if (!code && m.nslots != nslots)
        code = FS_V_EXTRA;
    *fault = (fs_fault){0, code, op, m.bit, (int64_t)m.nslots - 1};
    return code ? FS_E_RANGE : (int64_t)(m.bit >> 3);
}
