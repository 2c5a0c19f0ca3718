/* Cyclic redundancy checks of frames and packets. */
#ifndef FLATSAT_CRC_H
#define FLATSAT_CRC_H

#include <stddef.h>
#include <stdint.h>

/* CFFI BEGIN */

/* CRC-16 of x^16 + x^12 + x^5 + 1, most significant bit first; preset 0xFFFF for frames and
 * packets. Over contents and their CRC together it is 0. */
uint16_t fs_crc16(const uint8_t *buf, size_t nbytes, uint16_t init);

/* CRC-16 of `count` parts of buf. Returns count, or FS_E_SHORT, and then nothing was written. */
int64_t fs_crc16_batch(const uint8_t *buf, size_t nbytes, const uint64_t *offsets,
                       const uint32_t *lengths, size_t count, uint16_t init, uint16_t *out);

/* CFFI END */

#endif
