/* Space packets (CCSDS 133.0-B-2). */
#ifndef FLATSAT_PACKET_H
#define FLATSAT_PACKET_H

#include <stddef.h>
#include <stdint.h>

/* CFFI BEGIN */

enum { FS_PACKET_NBYTES = 65542 }; /* of the longest packet */

/* Where the columns of a scan go; each holds as many elements as the scan's capacity. */
typedef struct {
    uint64_t *offset;
    uint32_t *nbytes;   /* of the whole packet */
    uint16_t *id;       /* first header word: version, type, secondary header flag, APID */
    uint16_t *sequence; /* second header word: sequence flags and count */
} fs_packet_columns;

/* Walk packets that stand one behind the other. Returns how many whole ones there are (at most
 * capacity), or FS_E_FORMAT at a version that is not 0; *consumed is where it stopped. */
int64_t fs_packet_scan(const uint8_t *buf, size_t nbytes, const fs_packet_columns *out,
                       size_t capacity, uint64_t *consumed);

/* Copy `count` parts of buf one behind the other; out overlaps neither buf nor the lists. Returns the
 * octets written, or FS_E_SHORT if a part ends behind buf, or FS_E_CAPACITY if they do not fit out;
 * then nothing was written. */
int64_t fs_gather(const uint8_t *buf, size_t nbytes, const uint64_t *offsets,
                  const uint32_t *lengths, size_t count, uint8_t *out, size_t capacity);

/* CFFI END */

#endif
