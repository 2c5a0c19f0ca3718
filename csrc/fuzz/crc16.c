/* CRC-16: any split of an input gives the CRC of the whole, and a batch over parts of it gives what
 * single calls give, or nothing if a part lies outside, on every tier. */
#include "fuzz.h"

static void batch(const uint8_t *buf, size_t nbytes, fuzz_input in)
{
    enum { PARTS = 11 };
    uint64_t offsets[PARTS];
    uint32_t lengths[PARTS], inside = 1;
    uint16_t out[PARTS], init = (uint16_t)take(&in, 2);
    size_t count = take(&in, 1) % (PARTS + 1);
    for (size_t i = 0; i < count; i++) {
        offsets[i] = take(&in, 2) % (nbytes + 2);
        lengths[i] = (uint32_t)take(&in, 2) % (nbytes + 2);
        out[i] = 77;
        inside &= offsets[i] + lengths[i] <= nbytes;
    }
    FS_MUST(fs_crc16_batch(buf, nbytes, offsets, lengths, count, init, out) ==
            (inside ? (int64_t)count : FS_E_SHORT));
    for (size_t i = 0; i < count; i++)
        FS_MUST(out[i] == (inside ? fs_crc16(buf + offsets[i], lengths[i], init) : 77));
}

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
        batch(whole, in.nbytes, in);
    }
    free(head);
    free(tail);
    free(whole);
    return 0;
}
