/* Variable layouts: packets whose fields stand where earlier fields say.
 *
 * A program is a table of operations that one interpreter walks both ways, packet by packet. Values
 * of a packet are instances of a scope: scope 0 is the packet itself, and each list opens a scope
 * with as many instances as it has elements, in all packets together. A column holds the values of
 * one field, by instance; the offsets of a list hold where its elements begin, by instance of the
 * scope around it and one more; a mask tells whether a group is there, by instance. */
#ifndef FLATSAT_VARIABLE_H
#define FLATSAT_VARIABLE_H

#include <stddef.h>
#include <stdint.h>

/* CFFI BEGIN */

/* Kinds of values beside FS_UINT, FS_INT and FS_FLOAT. Times are int64_t nanoseconds since the
 * epoch of their code (CCSDS 301.0-B-4): CUC, rounded to the nearest, and CDS. */
enum { FS_OCTETS = 3, FS_CUC = 4, FS_CDS = 5 };

enum {
    FS_OP_FIELD = 0,  /* `elements` values of `width` bits */
    FS_OP_FIXED = 1,  /* `elements` times `width` bits of `value`, checked if `flag` */
    FS_OP_GROUP = 2,  /* what stands up to `jump` is there if the expression is not zero */
    FS_OP_LIST = 3,   /* a list of single values */
    FS_OP_REPEAT = 4, /* a list of what stands up to its FS_OP_END */
    FS_OP_END = 5,
    FS_OP_WHOLE = 6, /* an octet begins here */
};

/* How a list ends: after as many elements as the expression says, `trailer` bits before the end of
 * the packet, or in front of a zero octet. */
enum { FS_BY_COUNT = 0, FS_BY_PACKET = 1, FS_BY_ZERO = 2 };

/* Expressions are terms in postfix order, on a stack of FS_STACK integers of 64 bits. */
enum {
    FS_T_NUMBER = 0, /* value */
    FS_T_FIELD = 1,  /* register of index value */
    FS_T_LENGTH = 2, /* elements that the list of operation value has, when encoding columns */
    FS_T_NEGATE = 3,
    FS_T_NOT = 4,
    FS_T_ADD = 5,
    FS_T_SUB = 6,
    FS_T_MUL = 7,
    FS_T_DIV = 8, /* rounds down */
    FS_T_MOD = 9,
    FS_T_AND = 10,
    FS_T_OR = 11,
    FS_T_XOR = 12,
    FS_T_LEFT = 13,
    FS_T_RIGHT = 14,
    FS_T_EQ = 15,
    FS_T_NE = 16,
    FS_T_LT = 17,
    FS_T_LE = 18,
    FS_T_GT = 19,
    FS_T_GE = 20,
};

enum { FS_STACK = 16, FS_REGISTERS = 64, FS_SCOPES = 64, FS_NESTED = 8 };

/* What is wrong with a packet. */
enum {
    FS_V_GOOD = 0,
    FS_V_SHORT = 1,      /* the packet ends inside */
    FS_V_LENGTH = 2,     /* a list has another number of elements than its count says */
    FS_V_FORMAT = 3,     /* a constant is not as declared */
    FS_V_RANGE = 4,      /* a value does not fit its field */
    FS_V_ABSENT = 5,     /* an expression uses a field that is not there */
    FS_V_ARITHMETIC = 6, /* an expression leaves 64 bits or divides by zero */
    FS_V_EXTRA = 7,      /* octets stand behind the last field */
    FS_V_PARTIAL = 8,    /* not a whole number of octets or elements */
    FS_V_ZERO = 9,       /* no zero octet behind a string, or one inside it */
    FS_V_ROOM = 10,      /* not the packet's fault: the output is too small */
};

typedef struct {
    int32_t op;
    int64_t value;
} fs_term;

typedef struct {
    uint8_t op;
    uint8_t kind;
    uint8_t width; /* bits of a value */
    uint8_t size;  /* octets of a value in its column */
    uint8_t swap;  /* least significant octet first; width is a multiple of 8 */
    uint8_t reg;   /* 1 + register that keeps the value, 0: none does */
    uint8_t ends;
    uint8_t fine; /* times: octets of the fraction */
    uint8_t flag; /* fields: any other value than 0 means 1 */
    uint16_t scope;
    uint16_t inner;    /* lists: the scope that they open */
    uint32_t elements; /* lists: least number of bits of an element */
    uint32_t column;   /* 1 + index of the values or the mask, 0: kept nowhere */
    uint32_t offsets;  /* lists: 1 + index of their offsets */
    uint32_t jump;     /* of the operation behind a group or a list; FS_OP_END: of its list */
    uint32_t first;    /* term */
    uint32_t nterms;   /* of a field: what encoding writes instead of a given value */
    uint32_t trailer;
    uint64_t value; /* groups: mask of the registers inside */
} fs_op;

typedef struct {
    const fs_op *ops;
    const fs_term *terms;
    uint32_t nops;
    uint32_t nscopes;
} fs_program;

/* Columns, and where each scope stands. Offsets begin with a zero. */
typedef struct {
    uint8_t *const *columns;
    const uint64_t *room; /* instances that the columns of a scope hold */
    uint64_t *total;      /* instances so far; [0] counts packets */
    uint64_t next;        /* octet at which the next packet begins */
    uint32_t full;        /* scope that must get more room, 0 if none: packets have theirs */
    uint64_t *starts;     /* NULL, or gets the octet at which each packet begins */
} fs_table;

/* The first packet that is wrong: where and why. */
typedef struct {
    uint64_t row;
    uint32_t code;
    uint32_t op;    /* nops: no operation but the packet as a whole */
    uint64_t bit;   /* of the packet, where the operation began; code FS_V_GOOD: its end */
    int64_t number; /* count, value or index that was found */
} fs_fault;

/* Packets to columns. Packet k is lengths[k] octets at offsets[k], and may hold no octet more than
 * its fields if `exact`; without offsets, packets follow each other from table->next on and end
 * where their fields do. A bad packet leaves zeros and empty lists behind and its code in faults[k];
 * without offsets it is also the last. Goes on at packet total[0]; returns the number of packets
 * done, fewer than asked if the room of a scope ends (table->full) or the input. */
int64_t fs_variable_decode(const fs_program *program, const uint8_t *buf, size_t nbytes,
                           const uint64_t *offsets, const uint64_t *lengths, int32_t exact,
                           uint64_t count, fs_table *table, uint8_t *faults, fs_fault *fault);

/* Columns to packets one behind the other, until packet total[0] is `count`; ends[k] gets the octet
 * behind packet k. Offsets of lists rise and stay within the columns. A column of NULL may only
 * belong to fields that no packet has. Up to eight octets of `out` behind the packets may become
 * zero. Returns octets written, or FS_E_RANGE and a fault. */
int64_t fs_variable_encode(const fs_program *program, fs_table *table, uint64_t count, uint8_t *out,
                           size_t nbytes, uint64_t *ends, fs_fault *fault);

/* One packet to slots of eight octets in wire order: a field gives its values (uint64_t, int64_t or
 * double), octets give where they stand, a list its length and then its elements, a group whether it
 * is there. Octets behind the last field are left alone; fault->bit says where that is. Returns the
 * number of slots, or FS_E_FORMAT and a fault; FS_V_ROOM if there are more than `room`. */
int64_t fs_variable_decode_one(const fs_program *program, const uint8_t *packet, size_t nbytes,
                               uint64_t *slots, size_t room, fs_fault *fault);

/* Slots as above to one packet; octets are taken from `octets`. Returns its length, or FS_E_RANGE
 * and a fault, whose number is the index of the slot. */
int64_t fs_variable_encode_one(const fs_program *program, const uint64_t *slots, size_t nslots,
                               const uint8_t *octets, size_t noctets, uint8_t *out, size_t nbytes,
                               fs_fault *fault);

/* CFFI END */

#endif
