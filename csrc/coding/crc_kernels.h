/* What the files of the CRCs share. */
#ifndef FLATSAT_CRC_KERNELS_H
#define FLATSAT_CRC_KERNELS_H

#include "flatsat.h"

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

#define FS_CRC_PARTS(type)                                                                         \
    const uint8_t *buf, size_t nbytes, const uint64_t *offsets, const uint32_t *lengths,           \
        size_t count, type init, type *out

typedef uint16_t fs_crc16_kernel(const uint8_t *buf, size_t nbytes, uint16_t init);
typedef uint32_t fs_crc32_kernel(const uint8_t *buf, size_t nbytes, uint32_t init);
/* Return 0, and have written nothing, if a part lies outside of buf. */
typedef int fs_crc16_batch_kernel(FS_CRC_PARTS(uint16_t));
typedef int fs_crc32_batch_kernel(FS_CRC_PARTS(uint32_t));

fs_crc16_kernel fs_crc16_portable, fs_crc16_avx2, fs_crc16_avx512, fs_crc16_pmull;
fs_crc16_batch_kernel fs_crc16_batch_avx2, fs_crc16_batch_avx512, fs_crc16_batch_pmull;
fs_crc32_kernel fs_crc32_uslp_portable, fs_crc32_uslp_avx2, fs_crc32_uslp_avx512,
    fs_crc32_uslp_pmull;
fs_crc32_batch_kernel fs_crc32_uslp_batch_avx2, fs_crc32_uslp_batch_avx512,
    fs_crc32_uslp_batch_pmull;
fs_crc32_kernel fs_crc32c_portable, fs_crc32c_avx2, fs_crc32c_avx512, fs_crc32c_pmull;
fs_crc32_batch_kernel fs_crc32c_batch_avx2, fs_crc32c_batch_avx512, fs_crc32c_batch_pmull;

/* A batch that calls `one` part by part, in the same file so that it can be inlined. */
#define FS_CRC_BATCH(linkage, type, name, one)                                                     \
    linkage int name(FS_CRC_PARTS(type))                                                           \
    {                                                                                              \
        if (!fs_crc_parts_inside(nbytes, offsets, lengths, count))                                 \
            return 0;                                                                              \
        for (size_t i = 0; i < count; i++)                                                         \
            out[i] = one(buf + offsets[i], lengths[i], init);                                      \
        return 1;                                                                                  \
    }

#endif
