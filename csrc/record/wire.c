#include "flatsat.h"

#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the wire record is little-endian and is read in place: a big-endian host needs a swap here"
#endif

int64_t fs_wire_scan(const uint8_t *buf, size_t nbytes, uint64_t *offsets, size_t capacity)
{
    size_t at = 0, n = 0;
    while (at < nbytes && n < capacity) {
        fs_record head;
        if (nbytes - at < sizeof head)
            return FS_E_SHORT;
        memcpy(&head, buf + at, sizeof head);
        if (nbytes - at - sizeof head < head.length)
            return FS_E_SHORT;
        offsets[n++] = at;
        at += sizeof head + head.length;
    }
    return (int64_t)n;
}
