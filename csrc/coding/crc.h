/* Cyclic redundancy checks of frames, packets and files.
 *
 *     function        polynomial   start   bits of an octet   used by
 *     fs_crc16        0x1021       FFFF    high first         frames, PUS packets
 *     fs_crc32_uslp   0x00A00805   0       high first         USLP and Proximity-1 frames, CFDP
 *     fs_crc32c       0x1EDC6F41   0       low first          CFDP (checksum type 2)
 *
 * Each continues from `init`: give the start value for the first octets and the CRC so far for
 * those behind them. Any length is right, also 0. Nothing here stores or reads a CRC: in a frame it
 * is big-endian, and over contents and their CRC together fs_crc16 and fs_crc32_uslp give 0. */
#ifndef FLATSAT_CRC_H
#define FLATSAT_CRC_H

#include <stddef.h>
#include <stdint.h>

/* CFFI BEGIN */

/* CRC-16 of x^16 + x^12 + x^5 + 1, most significant bit first; preset 0xFFFF for frames and
 * packets. Over contents and their CRC together it is 0. */
uint16_t fs_crc16(const uint8_t *buf, size_t nbytes, uint16_t init);

/* CRC-32 of x^32 + x^23 + x^21 + x^11 + x^2 + 1, most significant bit first, preset 0
 * (CCSDS 732.1-B, 211.2-B). */
uint32_t fs_crc32_uslp(const uint8_t *buf, size_t nbytes, uint32_t init);

/* CRC-32C of Castagnoli, least significant bit first, start and result complemented: 0 is both the
 * start value and the CRC of nothing. */
uint32_t fs_crc32c(const uint8_t *buf, size_t nbytes, uint32_t init);

/* The CRC of each of `count` parts of buf, by offset and length in octets, each from `init`. Return
 * count, or FS_E_SHORT if a part lies outside of buf, and then nothing was written. */
int64_t fs_crc16_batch(const uint8_t *buf, size_t nbytes, const uint64_t *offsets,
                       const uint32_t *lengths, size_t count, uint16_t init, uint16_t *out);
int64_t fs_crc32_uslp_batch(const uint8_t *buf, size_t nbytes, const uint64_t *offsets,
                            const uint32_t *lengths, size_t count, uint32_t init, uint32_t *out);
int64_t fs_crc32c_batch(const uint8_t *buf, size_t nbytes, const uint64_t *offsets,
                        const uint32_t *lengths, size_t count, uint32_t init, uint32_t *out);

/* CFFI END */

#endif
