/* CRC-16: any split of an input gives the CRC of the whole, on every tier. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_input in = {data, nbytes};
    size_t cut = take(&in, 2);
    uint16_t init = (uint16_t)take(&in, 2);
    cut = in.nbytes ? cut % (in.nbytes + 1) : 0;
    uint8_t *head = exact(in.data, cut), *tail = exact(in.data + cut, in.nbytes - cut);
    uint8_t *whole = exact(in.data, in.nbytes);
    fs_tier_force(0);
    uint16_t want = fs_crc16(whole, in.nbytes, init);
    FOR_EACH_TIER(level) {
        FS_MUST(fs_crc16(whole, in.nbytes, init) == want);
        FS_MUST(fs_crc16(tail, in.nbytes - cut, fs_crc16(head, cut, init)) == want);
    }
    free(head);
    free(tail);
    free(whole);
    return 0;
}
