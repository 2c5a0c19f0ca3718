/* Wire record: 32 octets, little-endian, then `length` octets of payload. */
#ifndef FLATSAT_WIRE_H
#define FLATSAT_WIRE_H

#include <stddef.h>
#include <stdint.h>

/* CFFI BEGIN */

typedef struct {
    uint8_t kind;         /* what the record is; first, so that a topic filter can match on it */
    uint8_t channel;      /* index in the rig's channel table */
    uint8_t flags;
    uint8_t status;       /* outcome of a transaction, 0 is good */
    uint32_t length;      /* octets of payload that follow */
    uint64_t t_ns;        /* virtual time of the start, nanoseconds since the mission epoch */
    uint64_t duration_ns; /* time that the transaction took on its bus */
    uint32_t seq;         /* sequence number: per sender on a link, global in a capture */
    uint32_t address;     /* I2C address, CAN identifier, GPIO line, SPI chip select */
} fs_record;

/* Walk the concatenated records in buf: offsets[i] is where record i starts. Returns the number of
 * whole records found (at most capacity), or FS_E_SHORT if buf ends inside a record. */
int64_t fs_wire_scan(const uint8_t *buf, size_t nbytes, uint64_t *offsets, size_t capacity);

/* CFFI END */

_Static_assert(sizeof(fs_record) == 32, "the wire record header is 32 octets");

#endif
