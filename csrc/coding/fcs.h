/* Frame check sequences of HDLC (RFC 1662 appendix C), internal. */
#ifndef FLATSAT_FCS_H
#define FLATSAT_FCS_H

#include <stddef.h>
#include <stdint.h>

/* x^16 + x^12 + x^5 + 1, least significant bit first, preset to ones and complemented. */
uint32_t fcs16(const uint8_t *buf, size_t nbytes);

/* The CRC-32 of Ethernet and zlib. */
uint32_t fcs32(const uint8_t *buf, size_t nbytes);

#endif
