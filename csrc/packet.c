/* Space packets (CCSDS 133.0-B-2): the primary headers of a stream, as columns. */
#include "flatsat.h"

#include <string.h>

int64_t fs_packet_scan(const uint8_t *buf, size_t nbytes, const fs_packet_columns *out,
                       size_t capacity, uint64_t *consumed)
{
    size_t at = 0, n = 0;
    while (nbytes - at >= 6 && n < capacity) {
        const uint8_t *head = buf + at;
        uint32_t length = (uint32_t)(head[4] << 8 | head[5]) + 7;
        *consumed = at;
        if (head[0] >> 5)
            return FS_E_FORMAT;
        if (nbytes - at < length)
            break;
        out->offset[n] = at;
        out->nbytes[n] = length;
        out->id[n] = (uint16_t)(head[0] << 8 | head[1]);
        out->sequence[n] = (uint16_t)(head[2] << 8 | head[3]);
        n++;
        at += length;
    }
    *consumed = at;
    return (int64_t)n;
}

int64_t fs_gather(const uint8_t *buf, size_t nbytes, const uint64_t *offsets,
                  const uint32_t *lengths, size_t count, uint8_t *out, size_t capacity)
{
    uint64_t total = 0, outside = 0;
    for (size_t i = 0; i < count; i++) {
        outside |= (uint64_t)(offsets[i] > nbytes) | (lengths[i] > nbytes - offsets[i]);
        total += lengths[i];
    }
    if (outside)
        return FS_E_SHORT;
    if (total > capacity)
        return FS_E_CAPACITY;
    for (size_t i = 0; i < count; i++) {
        memcpy(out, buf + offsets[i], lengths[i]);
        out += lengths[i];
    }
    return (int64_t)total;
}
