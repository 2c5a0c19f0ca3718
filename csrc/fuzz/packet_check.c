/* Packet error control: a batch says of each packet what its CRC says, on every tier, or that one of
 * them lies outside. */
#include "fuzz.h"

enum { MOST = 1100 }; /* more than two of the blocks that are worked in */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_input in = {data, nbytes};
    size_t count = take(&in, 2) % (MOST + 1), step = 1 + take(&in, 1) % 40;
    size_t stray = take(&in, 1), beyond = take(&in, 1) & 1;
    uint8_t *buf = exact(in.data, in.nbytes), *ok = exact(NULL, count);
    uint64_t *offsets = (uint64_t *)exact(NULL, count * sizeof *offsets);
    uint32_t *lengths = (uint32_t *)exact(NULL, count * sizeof *lengths);
    int inside = 1;
    for (size_t i = 0; i < count; i++) {
        offsets[i] = i * step % (in.nbytes + 1);
        lengths[i] = (uint32_t)(i * 7 % (in.nbytes - offsets[i] + 1));
        if (i % 256 == stray && beyond)
            lengths[i] = (uint32_t)(in.nbytes - offsets[i] + 1);
        inside &= lengths[i] <= in.nbytes - offsets[i];
        if (lengths[i] > 2 && i % 3 == 0) { /* a right one, unless another packet changes it */
            uint32_t n = inside ? lengths[i] - 2 : 0;
            uint16_t crc = fs_crc16(buf + offsets[i], n, 0xFFFF);
            if (n) {
                buf[offsets[i] + n] = (uint8_t)(crc >> 8);
                buf[offsets[i] + n + 1] = (uint8_t)crc;
            }
        }
    }
    FOR_EACH_TIER(level) {
        memset(ok, 7, count);
        int64_t right = fs_packet_check(buf, in.nbytes, offsets, lengths, count, ok);
        FS_MUST(inside || right == FS_E_SHORT);
        for (size_t i = 0; i < count; i++) {
            FS_MUST(inside ? ok[i] == !fs_crc16(buf + offsets[i], lengths[i], 0xFFFF) : ok[i] == 7);
            right -= inside && ok[i];
        }
        FS_MUST(right == (inside ? 0 : FS_E_SHORT));
    }
    free(buf);
    free(ok);
    free(offsets);
    free(lengths);
    return 0;
}
