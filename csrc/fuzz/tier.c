/* Tiers: any number is a level that runs, or is refused and changes nothing. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_input in = {data, nbytes};
    while (in.nbytes) {
        int32_t level = (int32_t)take(&in, in.data[0] & 1 ? 1 : 4), before = fs_tier_active();
        int64_t now = fs_tier_force(level);
        int runs = level >= 0 && level <= fs_tier_best();
        FS_MUST(now == (runs ? level : FS_E_RANGE) && fs_tier_active() == (runs ? level : before));
        FS_MUST(!runs || fs_tier_name(level));
    }
    fs_tier_force(fs_tier_best());
    return 0;
}
