/* Variable layouts: whatever a packet holds, nothing outside of it is touched, slots give the packet
 * back, and columns hold what slots do and give the packet back too. The programs use every
 * operation; which one runs is the input's choice. */
#include "fuzz.h"

enum { SLOTS = 1 << 12, ROWS = 3, MOST = 256, COLUMNS = 12 };

#define FIELD(k, w, s, r, sc, c) \
    {.op = FS_OP_FIELD, .kind = k, .width = w, .size = s, .reg = r, .scope = sc, .elements = 1, .column = c}

/* n, 2n + 1 words, perhaps a float and a list of records, whose own lists begin inside of octets. */
static const fs_term TERMS[] = {
    {FS_T_FIELD, 0}, {FS_T_NUMBER, 2}, {FS_T_MUL, 0},   {FS_T_NUMBER, 1}, {FS_T_ADD, 0},
    {FS_T_FIELD, 1}, {FS_T_NUMBER, 3}, {FS_T_MOD, 0},   {FS_T_FIELD, 2},  {FS_T_FIELD, 3},
    {FS_T_NUMBER, 7}, {FS_T_AND, 0},   {FS_T_FIELD, 1}, {FS_T_NEGATE, 0}, {FS_T_FIELD, 0},
    {FS_T_DIV, 0},
};
static const fs_op LISTS[] = {
    FIELD(FS_UINT, 8, 1, 1, 0, 1),
    {.op = FS_OP_LIST, .kind = FS_INT, .width = 16, .size = 2, .swap = 1, .scope = 0, .inner = 1,
     .elements = 16, .column = 2, .offsets = 3, .first = 0, .nterms = 5},
    FIELD(FS_INT, 8, 1, 2, 0, 4),
    {.op = FS_OP_GROUP, .column = 5, .jump = 11, .first = 5, .nterms = 3, .value = 4},
    FIELD(FS_FLOAT, 16, 2, 0, 0, 6),
    FIELD(FS_UINT, 8, 1, 3, 0, 7),
    {.op = FS_OP_REPEAT, .inner = 2, .elements = 8, .offsets = 8, .jump = 11, .first = 8,
     .nterms = 1},
    FIELD(FS_UINT, 3, 1, 4, 2, 9),
    {.op = FS_OP_LIST, .kind = FS_UINT, .width = 24, .size = 4, .scope = 2, .inner = 3,
     .elements = 24, .column = 10, .offsets = 11, .first = 9, .nterms = 3},
    FIELD(FS_INT, 5, 1, 0, 2, 12),
    {.op = FS_OP_END, .scope = 2, .jump = 6},
};
/* Times, a constant, text up to its zero, and octets to a trailer. */
static const fs_op TIMES[] = {
    {.op = FS_OP_FIELD, .kind = FS_CUC, .width = 112, .size = 8, .fine = 10, .elements = 1,
     .column = 1},
    {.op = FS_OP_FIELD, .kind = FS_CDS, .width = 88, .size = 8, .fine = 4, .elements = 1,
     .column = 2},
    {.op = FS_OP_FIXED, .width = 4, .elements = 2, .value = 5, .flag = 1},
    {.op = FS_OP_WHOLE},
    {.op = FS_OP_LIST, .kind = FS_OCTETS, .width = 8, .size = 1, .inner = 1, .elements = 8,
     .ends = FS_BY_ZERO, .column = 3, .offsets = 4},
    {.op = FS_OP_LIST, .kind = FS_OCTETS, .width = 8, .size = 1, .inner = 2, .elements = 8,
     .ends = FS_BY_PACKET, .trailer = 64, .column = 5, .offsets = 6},
    FIELD(FS_UINT, 64, 8, 0, 0, 7),
};
/* Records of changing size to the end, lengths that may be negative, division by what comes. */
static const fs_op RECORDS[] = {
    {.op = FS_OP_FIELD, .kind = FS_FLOAT, .width = 32, .size = 4, .elements = 2, .column = 1},
    {.op = FS_OP_REPEAT, .inner = 1, .elements = 16, .ends = FS_BY_PACKET, .offsets = 2, .jump = 7},
    FIELD(FS_INT, 8, 1, 1, 1, 3),
    FIELD(FS_INT, 8, 1, 2, 1, 4),
    {.op = FS_OP_LIST, .kind = FS_OCTETS, .width = 8, .size = 1, .scope = 1, .inner = 2,
     .elements = 8, .column = 5, .offsets = 6, .first = 12, .nterms = 4},
    {.op = FS_OP_FIELD, .kind = FS_OCTETS, .width = 8, .size = 1, .scope = 1, .elements = 0,
     .column = 7},
    {.op = FS_OP_END, .scope = 1, .jump = 1},
};
static const fs_program PROGRAMS[] = {
    {LISTS, TERMS, sizeof LISTS / sizeof *LISTS, 4},
    {TIMES, TERMS, sizeof TIMES / sizeof *TIMES, 3},
    {RECORDS, TERMS, sizeof RECORDS / sizeof *RECORDS, 3},
};

/* Slots of a packet give the same octets, padding and rounding of times aside: their slots. */
static void there_and_back(const fs_program *program, const uint8_t *packet, size_t nbytes)
{
    static uint64_t slots[SLOTS], again[SLOTS];
    fs_fault fault;
    int64_t n = fs_variable_decode_one(program, packet, nbytes, slots, SLOTS, &fault);
    FS_MUST(n >= 0 || fault.op < program->nops);
    if (n < 0)
        return;
    uint8_t *out = exact(NULL, nbytes);
    int64_t made = fs_variable_encode_one(program, slots, (size_t)n, packet, nbytes, out, nbytes,
                                          &fault);
    FS_MUST(made >= 0 || fault.code == FS_V_RANGE); /* a fraction of a second that rounds up */
    if (made >= 0) {
        uint8_t *copy = exact(out, (size_t)made);
        FS_MUST(fs_variable_decode_one(program, copy, (size_t)made, again, SLOTS, &fault) == n);
        free(copy);
        FS_MUST(program != PROGRAMS || !memcmp(packet, out, (size_t)made));
    }
    free(out);
}

/* Columns of exactly the room that their scopes have, with what they held before. */
static void make_columns(const fs_program *program, const uint64_t *room, uint8_t **columns,
                         size_t *sizes)
{
    for (const fs_op *op = program->ops; op < program->ops + program->nops; op++) {
        uint64_t inside = room[op->op == FS_OP_LIST ? op->inner : op->scope];
        uint32_t at[2] = {op->column, op->offsets};
        size_t need[2] = {op->op == FS_OP_GROUP ? inside : inside * op->size, 8 * room[op->scope] + 8};
        if (op->op == FS_OP_FIELD)
            need[0] *= op->elements;
        for (int k = 0; k < 2; k++) {
            if (!at[k])
                continue;
            uint8_t *fresh = exact(NULL, need[k]), *old = columns[at[k] - 1];
            if (old)
                memcpy(fresh, old, sizes[at[k] - 1]);
            free(old);
            columns[at[k] - 1] = fresh;
            sizes[at[k] - 1] = need[k];
        }
    }
}

/* Packets to columns with little room, more of it when asked for, and back. */
static void by_columns(const fs_program *program, const uint8_t *buf, size_t nbytes,
                       const uint64_t *offsets, const uint64_t *lengths)
{
    uint8_t *columns[COLUMNS] = {0}, faults[ROWS];
    size_t sizes[COLUMNS] = {0};
    uint64_t room[4] = {ROWS, 2, 2, 2}, total[4] = {0}, ends[ROWS], starts[ROWS], rows, bad = 0;
    fs_table table = {(uint8_t *const *)columns, room, total, 0, 0, starts};
    fs_fault fault = {0};
    do {
        if (table.full)
            room[table.full] = room[table.full] * 3 + 1;
        make_columns(program, room, columns, sizes);
        fs_variable_decode(program, buf, nbytes, offsets, lengths, 0, ROWS, &table, faults, &fault);
    } while (table.full);
    rows = total[0];
    FS_MUST(offsets ? rows == ROWS : rows <= ROWS);
    for (uint64_t row = 0; row < rows; row++)
        bad += faults[row] != 0;
    if (!bad) {
        memset(total, 0, sizeof total);
        uint8_t *out = exact(NULL, nbytes * ROWS);
        int64_t made = fs_variable_encode(program, &table, rows, out, nbytes * ROWS, ends, &fault);
        FS_MUST(made >= 0 || fault.code == FS_V_RANGE);
        if (made >= 0 && program == PROGRAMS && !offsets)
            FS_MUST(!memcmp(buf, out, (size_t)made));
        free(out);
    }
    for (size_t k = 0; k < COLUMNS; k++)
        free(columns[k]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_input in = {data, nbytes};
    const fs_program *program = PROGRAMS + take(&in, 1) % 3;
    uint64_t offsets[ROWS], lengths[ROWS];
    for (int k = 0; k < ROWS; k++) {
        offsets[k] = take(&in, 1);
        lengths[k] = take(&in, 1);
    }
    size_t used = in.nbytes < MOST ? in.nbytes : MOST;
    uint8_t *packet = exact(in.data, used);
    there_and_back(program, packet, used);
    by_columns(program, packet, used, NULL, NULL);
    by_columns(program, packet, used, offsets, lengths);
    free(packet);
    return 0;
}
