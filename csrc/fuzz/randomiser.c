/* Randomisers: every tier gives the portable one's octets for any lengths, strides and places, in
 * place too, and leaves what lies between units alone. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_input in = {data, nbytes};
    int32_t kind = (int32_t)take(&in, 1) % 3;
    size_t unit = take(&in, 2), gap_in = take(&in, 1), gap_out = take(&in, 1);
    size_t count = in.nbytes / (unit + gap_in + 1);
    size_t read = count ? (count - 1) * (unit + gap_in) + unit : 0;
    size_t written = count ? (count - 1) * (unit + gap_out) + unit : 0;
    uint8_t *pn = exact(NULL, unit), *source = exact(in.data, read);
    uint8_t *want = exact(NULL, written), *same = exact(NULL, unit * 2);
    FS_MUST(fs_pn_fill(kind, pn, unit) == (int64_t)unit);
    FS_MUST(fs_randomise(kind, same, same, unit, 2) == (int64_t)unit * 2);
    FS_MUST(!unit || (!memcmp(same, pn, unit) && !memcmp(same + unit, pn, unit)));
    fs_tier_force(0);
    fs_pn_apply(pn, source, unit + gap_in, want, unit + gap_out, unit, count);
    FOR_EACH_TIER(level) {
        uint8_t *out = exact(NULL, written), *place = exact(in.data, read);
        fs_pn_apply(pn, source, unit + gap_in, out, unit + gap_out, unit, count);
        FS_MUST(!written || !memcmp(out, want, written));
        fs_pn_apply(pn, place, unit + gap_in, place, unit + gap_in, unit, count);
        for (size_t i = 0; i < count; i++)
            FS_MUST(!memcmp(place + i * (unit + gap_in), want + i * (unit + gap_out), unit));
        fs_pn_apply(pn, place, unit + gap_in, place, unit + gap_in, unit, count);
        FS_MUST(!read || !memcmp(place, source, read));
        free(out);
        free(place);
    }
    free(pn);
    free(source);
    free(want);
    free(same);
    return 0;
}
