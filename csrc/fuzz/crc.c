/* CRCs: any split of an input gives the CRC of the whole, and a batch over parts of it gives what
 * single calls give, or nothing if a part lies outside, on every tier. */
#include "fuzz.h"

enum { PARTS = 11 };

/* For one type of register; `one` is the CRC of a buffer, `many` that of parts. */
#define CHECK(name, type, one, many)                                                               \
    static void name##_batch(const uint8_t *buf, size_t nbytes, fuzz_input in)                     \
    {                                                                                              \
        uint64_t offsets[PARTS];                                                                   \
        uint32_t lengths[PARTS], inside = 1;                                                       \
        type out[PARTS], init = (type)take(&in, sizeof init);                                      \
        size_t count = take(&in, 1) % (PARTS + 1);                                                 \
        for (size_t i = 0; i < count; i++) {                                                       \
            offsets[i] = take(&in, 2) % (nbytes + 2);                                              \
            lengths[i] = (uint32_t)take(&in, 2) % (nbytes + 2);                                    \
            out[i] = 77;                                                                           \
            inside &= offsets[i] + lengths[i] <= nbytes;                                           \
        }                                                                                          \
        FS_MUST(many(buf, nbytes, offsets, lengths, count, init, out) ==                           \
                (inside ? (int64_t)count : FS_E_SHORT));                                           \
        for (size_t i = 0; i < count; i++)                                                         \
            FS_MUST(out[i] == (inside ? one(buf + offsets[i], lengths[i], init) : 77));            \
    }                                                                                              \
    static void name(fuzz_input in)                                                                \
    {                                                                                              \
        type init = (type)take(&in, sizeof init);                                                  \
        size_t cut = take(&in, 2);                                                                 \
        cut = in.nbytes ? cut % (in.nbytes + 1) : 0;                                               \
        uint8_t *head = exact(in.data, cut), *tail = exact(in.data + cut, in.nbytes - cut);        \
        uint8_t *whole = exact(in.data, in.nbytes);                                                \
        fs_tier_force(0);                                                                          \
        type want = one(whole, in.nbytes, init);                                                   \
        FOR_EACH_TIER(level) {                                                                     \
            FS_MUST(one(whole, in.nbytes, init) == want);                                          \
            FS_MUST(one(tail, in.nbytes - cut, one(head, cut, init)) == want);                     \
            name##_batch(whole, in.nbytes, in);                                                    \
        }                                                                                          \
        free(head);                                                                                \
        free(tail);                                                                                \
        free(whole);                                                                               \
    }

CHECK(crc16, uint16_t, fs_crc16, fs_crc16_batch)
CHECK(crc32_uslp, uint32_t, fs_crc32_uslp, fs_crc32_uslp_batch)
CHECK(crc32c, uint32_t, fs_crc32c, fs_crc32c_batch)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_input in = {data, nbytes};
    crc16(in);
    crc32_uslp(in);
    crc32c(in);
    return 0;
}
