/* Layouts: bit fields to and from values. */
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

/* One packet to values: each element of the plan takes one slot, as uint64_t, int64_t or double.
 * Returns the number of slots. */
int64_t fs_layout_decode(const fs_field *plan, size_t nfields, const uint8_t *packet, size_t nbytes,
                         uint64_t *slots);

/* Values to one packet; slots as above, of any alignment. The packet holds its fixed octets, and
 * zeros where fields stand. Returns nbytes, or FS_E_RANGE, and then the packet must be thrown
 * away. */
int64_t fs_layout_encode(const fs_field *plan, size_t nfields, const uint8_t *slots,
                         uint8_t *packet, size_t nbytes);

/* Packets at `offsets`, or every `stride` octets when that is null, to one native-endian column a
 * field, packet after packet. Floats keep their bits. Returns count, or FS_E_SHORT if a packet ends
 * behind the buffer, and then nothing was written. */
int64_t fs_layout_decode_columns(const fs_field *plan, size_t nfields, size_t layout_nbytes,
                                 const uint8_t *buf, size_t nbytes, const uint64_t *offsets,
                                 size_t stride, size_t count, uint8_t *const *columns);

/* Columns to packets one behind the other; blank is a packet as for fs_layout_encode. Returns
 * count, FS_E_RANGE if a value does not fit its field, or FS_E_CAPACITY. */
int64_t fs_layout_encode_columns(const fs_field *plan, size_t nfields, const uint8_t *blank,
                                 size_t layout_nbytes, const uint8_t *const *columns, size_t count,
                                 uint8_t *out, size_t nbytes);

/* CFFI END */

#endif
