/* Layouts: bit fields to and from values.
 *
 * A layout is a table of fields. Single packets are walked field by field (fs_layout_decode,
 * fs_layout_encode). Many packets become columns through an fs_layout, which fs_layout_prepare makes
 * once from the table: it is what depends on the table alone. */
#ifndef FLATSAT_LAYOUT_H
#define FLATSAT_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

/* CFFI BEGIN */

enum { FS_UINT = 0, FS_INT = 1, FS_FLOAT = 2 };

/* `count` elements of `width` bits (1 to 64; floats 32 or 64), one behind the other. */
typedef struct {
    uint32_t bit; /* of the first element, from the start of the packet */
    uint32_t count;
    uint8_t width;
    uint8_t kind;
    uint8_t size; /* octets of an element in a column: 1, 2, 4 or 8 */
    uint8_t swap; /* least significant octet first; width is a multiple of 8 */
} fs_field;

/* How vectors read one field; made by fs_layout_prepare. */
typedef struct {
    uint32_t window; /* first of the 16 octets that hold the field */
    uint32_t field;
    uint8_t form;  /* 0: not by vectors; else octets of an element in the column */
    uint8_t row;   /* 32-bit word of the window in which the field begins */
    uint8_t left;  /* bits of that word in front of the field */
    uint8_t width;
    uint8_t is_signed;
    uint8_t swap;
} fs_layout_step;

/* A layout made ready for columns. The two tables belong to the caller and outlive it. */
typedef struct {
    const fs_field *fields;
    const fs_layout_step *steps; /* one a field, by place */
    size_t nfields;
    size_t nbytes;     /* of a packet */
    size_t row_nbytes; /* of one row of all columns */
} fs_layout;

/* Fill a layout and its nfields steps. Returns nfields, or FS_E_RANGE if a field is not inside of
 * nbytes octets or is not as fs_field says. */
int64_t fs_layout_prepare(fs_layout *layout, const fs_field *fields, size_t nfields, size_t nbytes,
                          fs_layout_step *steps);

/* One packet to values: each element of the plan takes one slot, as uint64_t, int64_t or double.
 * Returns the number of slots. */
int64_t fs_layout_decode(const fs_field *plan, size_t nfields, const uint8_t *packet, size_t nbytes,
                         uint64_t *slots);

/* The same of the packet at octet `at` of a buffer, by a prepared layout; FS_E_SHORT if it ends behind
 * the buffer, and then nothing was written. */
int64_t fs_layout_decode_at(const fs_layout *layout, const uint8_t *buf, size_t nbytes, size_t at,
                            uint64_t *slots);

/* Values to one packet; slots as above, of any alignment. The packet holds its fixed octets, and
 * zeros where fields stand. Returns nbytes, or FS_E_RANGE, and then the packet must be thrown
 * away. */
int64_t fs_layout_encode(const fs_field *plan, size_t nfields, const uint8_t *slots,
                         uint8_t *packet, size_t nbytes);

/* Packets at `offsets`, or every `stride` octets when that is null, to one native-endian column a
 * field, packet after packet. Floats keep their bits. Returns count, or FS_E_SHORT if a packet ends
 * behind the buffer, and then nothing was written. Columns that begin at a multiple of 64 octets
 * are filled past the caches when they are too large to stay there. */
int64_t fs_layout_decode_columns(const fs_layout *layout, const uint8_t *buf, size_t nbytes,
                                 const uint64_t *offsets, size_t stride, size_t count,
                                 uint8_t *const *columns);

/* Divide an arena that begins at a multiple of 64 octets between the columns of `count` rows, each at
 * such a multiple; columns whose addresses agree modulo a page would evict each other from the
 * first-level cache, and modulo more of them meet in one bank of the memory, so large ones lie
 * skewed. Fills `columns`, one a field, unless it is null.
 * Returns the octets of the arena. */
size_t fs_layout_spread(const fs_layout *layout, size_t count, uint8_t *arena, uint8_t **columns);

/* Columns to packets one behind the other; blank is a packet as for fs_layout_encode. Returns
 * count, FS_E_RANGE if a value does not fit its field, or FS_E_CAPACITY. */
int64_t fs_layout_encode_columns(const fs_layout *layout, const uint8_t *blank,
                                 const uint8_t *const *columns, size_t count, uint8_t *out,
                                 size_t nbytes);

/* Where the packets of a link arrive and where their values go, fixed once. */
typedef struct {
    const fs_layout *layout;
    const uint8_t *buf;
    size_t nbytes;
    size_t stride;
    uint8_t *const *columns;
    size_t capacity; /* rows of each column */
} fs_layout_live;

/* fs_layout_decode_columns of the first `count` packets; FS_E_CAPACITY if they are too many. */
int64_t fs_layout_live_decode(const fs_layout_live *live, size_t count);

/* CFFI END */

#endif
