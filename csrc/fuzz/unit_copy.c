/* Copying units: every tier writes what taking single bits writes. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_input in = {data, nbytes};
    uint32_t bit = (uint32_t)take(&in, 1) & 31, flags = (uint32_t)take(&in, 1);
    int32_t inverted = flags & 1;
    size_t n = in.nbytes / 2;
    if ((bit + 7) / 8 > n)
        return 0;
    n -= (bit + 7) / 8;
    uint8_t *from = exact(in.data, n + (bit + 7) / 8), *pn = exact(in.data + in.nbytes - n, n);
    uint8_t *out = exact(NULL, n), *want = exact(NULL, n);
    for (size_t i = 0; i < 8 * n; i++) {
        size_t at = bit + i;
        int one = (from[at >> 3] >> (7 - (at & 7)) & 1) ^ inverted;
        want[i >> 3] = (uint8_t)(want[i >> 3] | one << (7 - (i & 7)));
    }
    for (size_t i = 0; i < n && flags & 2; i++)
        want[i] ^= pn[i];
    FOR_EACH_TIER(level) {
        FS_MUST(fs_unit_copy(from, bit, inverted, flags & 2 ? pn : NULL, out, n) == (int64_t)n);
        FS_MUST(!memcmp(out, want, n));
    }
    uint8_t *place = from + (bit >> 3); /* in place: over the octets that it reads */
    FS_MUST(fs_unit_copy(from, bit, inverted, flags & 2 ? pn : NULL, place, n) == (int64_t)n);
    FS_MUST(!memcmp(place, want, n));
    free(from);
    free(pn);
    free(out);
    free(want);
    return 0;
}
