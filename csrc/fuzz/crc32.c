/* CRC-32 of USLP and CRC-32C: any split of an input gives the CRC of the whole, and a batch over
 * parts of it gives what single calls give, on every tier. */
#include "fuzz.h"

typedef uint32_t one(const uint8_t *, size_t, uint32_t);
typedef int64_t many(const uint8_t *, size_t, const uint64_t *, const uint32_t *, size_t, uint32_t,
                     uint32_t *);

static void batch(one *crc, many *crcs, const uint8_t *buf, size_t nbytes, fuzz_input in)
{
    enum { PARTS = 11 };
    uint64_t offsets[PARTS];
    uint32_t lengths[PARTS], out[PARTS], inside = 1, init = (uint32_t)take(&in, 4);
    size_t count = take(&in, 1) % (PARTS + 1);
    for (size_t i = 0; i < count; i++) {
        offsets[i] = take(&in, 2) % (nbytes + 2);
        lengths[i] = (uint32_t)take(&in, 2) % (nbytes + 2);
        out[i] = 77;
        inside &= offsets[i] + lengths[i] <= nbytes;
    }
    FS_MUST(crcs(buf, nbytes, offsets, lengths, count, init, out) ==
            (inside ? (int64_t)count : FS_E_SHORT));
    for (size_t i = 0; i < count; i++)
        FS_MUST(out[i] == (inside ? crc(buf + offsets[i], lengths[i], init) : 77));
}

static void check(one *crc, many *crcs, fuzz_input in)
{
    uint32_t init = (uint32_t)take(&in, 4);
    size_t cut = take(&in, 2);
    cut = in.nbytes ? cut % (in.nbytes + 1) : 0;
    uint8_t *head = exact(in.data, cut), *tail = exact(in.data + cut, in.nbytes - cut);
    uint8_t *whole = exact(in.data, in.nbytes);
    fs_tier_force(0);
    uint32_t want = crc(whole, in.nbytes, init);
    FOR_EACH_TIER(level) {
        FS_MUST(crc(whole, in.nbytes, init) == want);
        FS_MUST(crc(tail, in.nbytes - cut, crc(head, cut, init)) == want);
        batch(crc, crcs, whole, in.nbytes, in);
    }
    free(head);
    free(tail);
    free(whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_input in = {data, nbytes};
    check(fs_crc32_uslp, fs_crc32_uslp_batch, in);
    check(fs_crc32c, fs_crc32c_batch, in);
    return 0;
}
