/* Which tier this processor runs. Features are asked for one by one, never a processor's name: some
 * that bear the same name lack some of them. */
#include "error.h"
#include "tier.h"

#include <stddef.h>

#if defined(FS_ARM) && defined(__linux__)
#include <sys/auxv.h>
#endif

static const char *const NAMES[FS_TIERS] =
    FS_KERNELS("portable", "ssse3", "avx2", "avx512", "neon", "pmull");

int32_t fs_tier_now = -1;

const char *fs_tier_name(int32_t level)
{
    if (level < 0 || level >= FS_TIERS || (level && NAMES[level] == NAMES[level - 1]))
        return NULL;
    return NAMES[level];
}

#if defined(FS_X86)

static int have_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt") &&
           __builtin_cpu_supports("pclmul");
}

static int have_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") &&
           __builtin_cpu_supports("avx512bitalg") && __builtin_cpu_supports("avx512vpopcntdq") &&
           __builtin_cpu_supports("gfni") && __builtin_cpu_supports("vpclmulqdq");
}

int32_t fs_tier_best(void)
{
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("ssse3"))
        return 0;
    if (!have_avx2())
        return 1;
    return have_avx512() ? 3 : 2;
}

#elif defined(FS_ARM)

int32_t fs_tier_best(void)
{
#if defined(__linux__)
    enum { HWCAP_BIT_PMULL = 1 << 4 }; /* HWCAP_PMULL of the kernel's interface */
    return getauxval(AT_HWCAP) & HWCAP_BIT_PMULL ? 2 : 1;
#elif defined(__ARM_FEATURE_AES)
    return 2;
#else
    return 1;
#endif
}

#else

int32_t fs_tier_best(void)
{
    return 0;
}

#endif

int32_t fs_tier_active(void)
{
    int32_t level = __atomic_load_n(&fs_tier_now, __ATOMIC_RELAXED);
    if (level < 0) {
        level = fs_tier_best();
        __atomic_store_n(&fs_tier_now, level, __ATOMIC_RELAXED);
    }
    return level;
}

int64_t fs_tier_force(int32_t level)
{
    if (!fs_tier_name(level) || level > fs_tier_best())
        return FS_E_RANGE;
    __atomic_store_n(&fs_tier_now, level, __ATOMIC_RELAXED);
    return level;
}
