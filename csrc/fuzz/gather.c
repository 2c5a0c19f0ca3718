/* Gathering: parts inside the buffer come out one behind the other, others write nothing. */
#include "fuzz.h"

enum { PARTS = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_input in = {data, nbytes};
    uint64_t offsets[PARTS], total = 0;
    uint32_t lengths[PARTS];
    size_t count = take(&in, 1) % (PARTS + 1), slack = take(&in, 1);
    int inside = 1;
    for (size_t i = 0; i < count; i++) {
        offsets[i] = take(&in, 2);
        lengths[i] = (uint32_t)take(&in, 2);
        total += lengths[i];
    }
    for (size_t i = 0; i < count; i++)
        inside &= offsets[i] + lengths[i] <= in.nbytes;
    size_t capacity = inside ? total : slack;
    uint8_t *buf = exact(in.data, in.nbytes), *out = exact(NULL, capacity);
    int64_t found = fs_gather(buf, in.nbytes, offsets, lengths, count, out, capacity);
    FS_MUST(found == (inside ? (int64_t)total : FS_E_SHORT));
    size_t at = 0;
    for (size_t i = 0; inside && i < count; at += lengths[i], i++)
        FS_MUST(!memcmp(out + at, buf + offsets[i], lengths[i]));
    if (inside && total)
        FS_MUST(fs_gather(buf, in.nbytes, offsets, lengths, count, out, total - 1) ==
                FS_E_CAPACITY);
    free(buf);
    free(out);
    return 0;
}
