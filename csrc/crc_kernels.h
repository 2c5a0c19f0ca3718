/* What the files of the CRCs share. */
#ifndef FLATSAT_CRC_KERNELS_H
#define FLATSAT_CRC_KERNELS_H

#include "flatsat.h"

uint16_t fs_crc16_portable(const uint8_t *buf, size_t nbytes, uint16_t init);
uint32_t fs_crc32_uslp_portable(const uint8_t *buf, size_t nbytes, uint32_t init);
uint32_t fs_crc32c_portable(const uint8_t *buf, size_t nbytes, uint32_t init);

/* Whether all parts lie in nbytes. Without a branch in the loop it costs a fraction of a ns a part,
 * so a batch can look at all of them before it writes anything. */
static inline int fs_crc_parts_inside(size_t nbytes, const uint64_t *offsets,
                                      const uint32_t *lengths, size_t count)
{
    uint64_t outside = 0;
    for (size_t i = 0; i < count; i++)
        outside |= (uint64_t)(offsets[i] > nbytes) | (lengths[i] > nbytes - offsets[i]);
    return !outside;
}

#endif
