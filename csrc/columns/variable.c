/* Variable layouts, from packets to values.
 *
 * The walk is written once and inlined twice: with `one`, values go to slots, else to columns. What
 * is not there must still have a place in the columns of its scope: a group that is absent, and a
 * packet that is bad, are walked by leave_empty. */
#include "variable_kernels.h"

#define FS_INLINE static inline __attribute__((always_inline))

static uint8_t *column_of(const fs_machine *m, uint32_t column)
{
    return m->table->columns[column - 1];
}

static void close_list(fs_machine *m, const fs_op *op)
{
    uint64_t *total = m->table->total;
    fs_store_value(column_of(m, op->offsets), total[op->scope] + 1, 8, total[op->inner]);
}

/* Zeros, unset masks and empty lists for the operations from `op` to `end`. */
static void leave_empty(fs_machine *m, const fs_op *op, const fs_op *end)
{
    while (op < end) {
        uint64_t at = m->table->total[op->scope];
        if (op->op == FS_OP_LIST || op->op == FS_OP_REPEAT)
            close_list(m, op);
        else if (op->op == FS_OP_GROUP && op->column)
            column_of(m, op->column)[at] = 0;
        else if (op->op == FS_OP_FIELD && op->column)
            memset(column_of(m, op->column) + at * op->elements * op->size, 0,
                   (size_t)op->elements * op->size);
        op = op->op == FS_OP_REPEAT ? m->program->ops + op->jump : op + 1;
    }
}

static uint32_t push(fs_machine *m, uint64_t slot)
{
    if (m->nslots == m->room)
        return FS_V_ROOM;
    m->slots[m->nslots++] = slot;
    return FS_V_GOOD;
}

/* The bits of a value, sign extended. */
static inline uint64_t get_value(const fs_machine *m, const fs_op *op, uint64_t bit)
{
    uint64_t value = fs_get_bits(m->buf, m->nbytes, bit, op->width);
    if (op->swap)
        value = fs_swap_octets(value, op->width);
    return op->kind == FS_INT ? fs_sign_extend(value, op->width) : value;
}

FS_INLINE uint32_t keep_value(fs_machine *m, const fs_op *op, uint64_t at, uint64_t value,
                              const int one)
{
    fs_keep(m, op, value);
    if (!one) {
        if (op->column)
            fs_store_value(column_of(m, op->column), at, op->size, value);
        return FS_V_GOOD;
    }
    if (op->kind == FS_FLOAT)
        value = fs_float_widen(value, op->width);
    return push(m, op->flag ? value != 0 : value);
}

static uint32_t read_time(fs_machine *m, const fs_op *op, int64_t *t_ns)
{
    uint8_t octets[32];
    size_t nbytes = op->width / 8;
    for (size_t k = 0; k < nbytes; k++)
        octets[k] = (uint8_t)fs_get_bits(m->buf, m->nbytes, m->bit + 8 * k, 8);
    return fs_time_decode(octets, nbytes, op->kind, op->fine, t_ns);
}

/* Octets that begin at a whole one: to a column, or where they stand. */
FS_INLINE uint32_t read_octets(fs_machine *m, const fs_op *op, uint64_t at, uint64_t n,
                               const int one)
{
    if (one)
        return push(m, (m->bit - m->start) >> 3);
    if (op->column && n)
        memcpy(column_of(m, op->column) + at, m->buf + (m->bit >> 3), n);
    return FS_V_GOOD;
}

FS_INLINE uint32_t read_field(fs_machine *m, const fs_op *op, const int one)
{
    uint64_t nbits = (uint64_t)op->width * op->elements;
    uint64_t at = one ? 0 : m->table->total[op->scope] * op->elements;
    uint32_t code = FS_V_GOOD;
    if (nbits > m->end - m->bit)
        return FS_V_SHORT;
    if (op->kind == FS_OCTETS) {
        code = read_octets(m, op, at, op->elements, one);
    } else if (op->kind >= FS_CUC) {
        int64_t t_ns;
        if (!(code = read_time(m, op, &t_ns)))
            code = keep_value(m, op, at, (uint64_t)t_ns, one);
    } else {
        for (uint32_t j = 0; j < op->elements && !code; j++)
            code = keep_value(m, op, at + j, get_value(m, op, m->bit + (uint64_t)j * op->width),
                              one);
    }
    m->bit += nbits;
    return code;
}

static uint32_t skip_fixed(fs_machine *m, const fs_op *op)
{
    uint64_t nbits = (uint64_t)op->width * op->elements;
    if (nbits > m->end - m->bit)
        return FS_V_SHORT;
    for (uint32_t j = 0; op->flag && j < op->elements; j++) {
        uint64_t found = fs_get_bits(m->buf, m->nbytes, m->bit + (uint64_t)j * op->width, op->width);
        if (found != op->value) {
            m->number = (int64_t)found;
            return FS_V_FORMAT;
        }
    }
    m->bit += nbits;
    return FS_V_GOOD;
}

/* How many elements a list has; those of changing size that fill a packet are counted as they come,
 * and `n` is then UINT64_MAX. */
static uint32_t count_elements(fs_machine *m, const fs_op *op, uint64_t *n)
{
    uint64_t left = m->end - m->bit;
    if (op->ends == FS_BY_ZERO) {
        const uint8_t *from = m->buf + (m->bit >> 3), *zero = memchr(from, 0, left >> 3);
        *n = zero ? (uint64_t)(zero - from) : 0;
        return zero ? FS_V_GOOD : FS_V_ZERO;
    }
    if (op->ends == FS_BY_PACKET) {
        if (left < op->trailer)
            return FS_V_SHORT;
        left -= op->trailer;
        *n = op->op == FS_OP_REPEAT ? UINT64_MAX : left / op->elements;
        return op->op == FS_OP_LIST && left % op->elements ? FS_V_PARTIAL : FS_V_GOOD;
    }
    int64_t count;
    uint32_t code = fs_variable_eval(m, op, &count);
    if (code)
        return code;
    m->number = count;
    *n = (uint64_t)count;
    if (count < 0)
        return FS_V_LENGTH;
    return *n > left / op->elements ? FS_V_SHORT : FS_V_GOOD;
}

#define FS_COPY(type, turned)                                                                      \
    for (uint64_t j = 0; j < n; j++) {                                                             \
        type value;                                                                                \
        memcpy(&value, from + j * sizeof value, sizeof value);                                     \
        value = turned;                                                                            \
        memcpy(to + j * sizeof value, &value, sizeof value);                                       \
    }                                                                                              \
    break

/* Values of 8, 16, 32 or 64 bits that begin at an octet and fill their place in the column. */
static void copy_list(const uint8_t *from, uint8_t *to, uint64_t n, unsigned width, int swap)
{
    if (width == 8 || swap == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)) {
        memcpy(to, from, n * (width / 8));
        return;
    }
    switch (width) {
    case 16:
        FS_COPY(uint16_t, __builtin_bswap16(value));
    case 32:
        FS_COPY(uint32_t, __builtin_bswap32(value));
    default:
        FS_COPY(uint64_t, __builtin_bswap64(value));
    }
}

FS_INLINE uint32_t read_elements(fs_machine *m, const fs_op *op, uint64_t at, uint64_t n,
                                 const int one)
{
    int whole = !(m->bit & 7) && op->width == 8 * op->size;
    uint32_t code = FS_V_GOOD;
    if (op->kind == FS_OCTETS)
        return read_octets(m, op, at, n, one);
    if (!one && whole && op->kind < FS_OCTETS) {
        if (n && op->column)
            copy_list(m->buf + (m->bit >> 3), column_of(m, op->column) + at * op->size, n,
                      op->width, op->swap);
        return FS_V_GOOD;
    }
    uint64_t begin = m->bit;
    for (uint64_t j = 0; j < n && !code; j++, m->bit += op->width) {
        int64_t t_ns = 0;
        if (op->kind >= FS_CUC)
            code = read_time(m, op, &t_ns);
        uint64_t value = op->kind >= FS_CUC ? (uint64_t)t_ns : get_value(m, op, m->bit);
        if (!code)
            code = keep_value(m, op, at + j, value, one);
    }
    m->bit = begin;
    return code;
}

FS_INLINE uint32_t read_list(fs_machine *m, const fs_op *op, const int one)
{
    uint64_t n, at = 0;
    uint32_t code = count_elements(m, op, &n);
    if (code)
        return code;
    if (!one) {
        at = m->table->total[op->inner];
        if (n > m->table->room[op->inner] - at) {
            m->number = op->inner;
            return FS_V_ROOM;
        }
    } else if ((code = push(m, n))) {
        return code;
    }
    if ((code = read_elements(m, op, at, n, one)))
        return code;
    m->bit += n * op->width + (op->ends == FS_BY_ZERO ? 8 : 0);
    if (!one) {
        m->table->total[op->inner] += n;
        close_list(m, op);
    }
    return FS_V_GOOD;
}

/* Whether the list of a frame has one more element: its first operation, or the one behind it. */
FS_INLINE uint32_t next_element(fs_machine *m, fs_frame *f, uint32_t *i, int *more, const int one)
{
    const fs_op *op = m->program->ops + f->op;
    uint64_t left = m->end - m->bit;
    *more = f->left == UINT64_MAX ? left > op->trailer : f->left > 0;
    if (f->left == UINT64_MAX && left < op->trailer)
        return FS_V_PARTIAL;
    if (!*more) {
        *i = op->jump;
        if (!one)
            close_list(m, op);
        return FS_V_GOOD;
    }
    *i = f->op + 1;
    f->left -= f->left != UINT64_MAX;
    if (one) {
        m->slots[f->slot]++;
    } else if (m->table->total[op->inner] == m->table->room[op->inner]) {
        m->number = op->inner;
        return FS_V_ROOM;
    }
    return FS_V_GOOD;
}

FS_INLINE uint32_t read_group(fs_machine *m, const fs_op *op, uint32_t *i, const int one)
{
    const fs_op *end = m->program->ops + op->jump;
    int64_t there;
    uint32_t code = fs_variable_eval(m, op, &there);
    if (!code && one)
        code = push(m, there != 0);
    if (code)
        return code;
    if (!one && op->column)
        column_of(m, op->column)[m->table->total[op->scope]] = there != 0;
    if (there)
        return ++*i, FS_V_GOOD;
    m->known &= ~op->value;
    if (!one)
        leave_empty(m, op + 1, end);
    *i = op->jump;
    return FS_V_GOOD;
}

/* Walks one packet; *i is the operation at fault. */
FS_INLINE uint32_t read_packet(fs_machine *m, uint32_t *i, const int one)
{
    fs_frame frames[FS_NESTED], *top;
    uint32_t code = FS_V_GOOD, next, nops = m->program->nops, depth = 0;
    int more;
    m->known = 0;
    while (*i < nops && !code) {
        const fs_op *op = m->program->ops + *i;
        next = *i + 1;
        switch (op->op) {
        case FS_OP_FIELD:
            code = read_field(m, op, one);
            break;
        case FS_OP_FIXED:
            code = skip_fixed(m, op);
            break;
        case FS_OP_GROUP:
            next = *i;
            code = read_group(m, op, &next, one);
            break;
        case FS_OP_LIST:
            code = read_list(m, op, one);
            break;
        case FS_OP_REPEAT:
            top = frames + depth++;
            *top = (fs_frame){*i, 0, m->nslots};
            code = count_elements(m, op, &top->left);
            if (!code && one)
                code = push(m, 0);
            if (!code && !(code = next_element(m, top, &next, &more, one)))
                depth -= !more;
            break;
        case FS_OP_END:
            if (!one)
                m->table->total[m->program->ops[op->jump].inner]++;
            if (!(code = next_element(m, frames + depth - 1, &next, &more, one)))
                depth -= !more;
            break;
        default:
            code = m->bit & 7 ? FS_V_PARTIAL : FS_V_GOOD;
        }
        *i = code ? *i : next;
    }
    return code;
}

static void report(fs_fault *fault, const fs_machine *m, uint64_t row, uint32_t op, uint32_t code)
{
    *fault = (fs_fault){row, code, op, m->bit - m->start, m->number};
}

/* One packet to columns, at row total[0]. */
static uint32_t read_row(fs_machine *m, int exact, uint32_t *op)
{
    uint64_t saved[FS_SCOPES], *total = m->table->total;
    uint32_t nscopes = m->program->nscopes;
    memcpy(saved, total, nscopes * sizeof *total);
    *op = 0;
    m->number = 0;
    uint32_t code = read_packet(m, op, 0);
    if (!code && exact && m->bit != m->end)
        code = FS_V_EXTRA;
    if (code) {
        memcpy(total, saved, nscopes * sizeof *total);
        if (code != FS_V_ROOM)
            leave_empty(m, m->program->ops, m->program->ops + m->program->nops);
    }
    return code;
}

int64_t fs_variable_decode(const fs_program *program, const uint8_t *buf, size_t nbytes,
                           const uint64_t *offsets, const uint64_t *lengths, int32_t exact,
                           uint64_t count, fs_table *table, uint8_t *faults, fs_fault *fault)
{
    fs_machine m = {.program = program, .table = table, .buf = buf, .nbytes = nbytes};
    uint64_t first = table->total[0];
    table->full = 0;
    for (uint64_t row = first; row < count; row = ++table->total[0]) {
        uint64_t begin = offsets ? offsets[row] : table->next;
        if (!offsets && begin >= nbytes)
            break;
        uint64_t length = offsets ? lengths[row] : nbytes - begin;
        uint32_t code, op = program->nops;
        m.start = m.bit = 8 * begin;
        if (table->starts)
            table->starts[row] = begin;
        m.end = m.start + 8 * length;
        if (begin > nbytes || length > nbytes - begin) {
            code = FS_V_SHORT;
            leave_empty(&m, program->ops, program->ops + program->nops);
        } else {
            code = read_row(&m, exact, &op);
        }
        if (code == FS_V_ROOM) {
            table->full = (uint32_t)m.number;
            break;
        }
        if (code && !fault->code)
            report(fault, &m, row, op, code);
        faults[row] = (uint8_t)code;
        if (!offsets && code)
            return (int64_t)(++table->total[0] - first);
        table->next = (m.bit + 7) >> 3;
    }
    return (int64_t)(table->total[0] - first);
}

int64_t fs_variable_decode_one(const fs_program *program, const uint8_t *packet, size_t nbytes,
                               uint64_t *slots, size_t room, fs_fault *fault)
{
    fs_machine m = {.program = program, .buf = packet, .nbytes = nbytes, .end = 8 * (uint64_t)nbytes};
    m.slots = slots;
    m.room = room;
    uint32_t op = 0, code = read_packet(&m, &op, 1);
    report(fault, &m, 0, op, code);
    return code ? FS_E_FORMAT : (int64_t)m.nslots;
}
