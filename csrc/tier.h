/* Tiers: the same kernel for different processors, chosen when the first one is called.
 *
 *     level  x86-64                                            AArch64
 *     0      portable C: the specification, and the oracle     the same
 *     1      ssse3: vector extensions                          neon
 *     2      avx2: with PCLMULQDQ, BMI2, POPCNT                pmull: with polynomial multiply
 *     3      avx512: with GFNI, VPCLMULQDQ, VBMI2, VPOPCNTDQ   -
 *
 * A kernel that has variants keeps one table of four function pointers and calls through
 * table[fs_tier()]. Function pointers work with every C library and loader; ifunc does not. A tier
 * needs every instruction set of its row, so a variant may use any of them. Intrinsics stand only
 * in files named *_x86.c and *_arm.c. */
#ifndef FLATSAT_TIER_H
#define FLATSAT_TIER_H

#include <stdint.h>

/* CFFI BEGIN */

enum { FS_TIERS = 4 };

/* Name of a level for this processor family, or NULL if the family has no such level. */
const char *fs_tier_name(int32_t level);

/* The highest level that this processor can run. */
int32_t fs_tier_best(void);

/* The level in use. */
int32_t fs_tier_active(void);

/* Use another level from now on, in all threads: for tests and measurements. Every level gives the
 * same bytes. Returns the level, or FS_E_RANGE if this processor cannot run it. */
int64_t fs_tier_force(int32_t level);

/* CFFI END */

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define FS_X86 1
#define FS_KERNELS(portable, ssse3, avx2, avx512, neon, pmull) {portable, ssse3, avx2, avx512}
#elif defined(__aarch64__) && defined(__ARM_NEON) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define FS_ARM 1
#define FS_KERNELS(portable, ssse3, avx2, avx512, neon, pmull) {portable, neon, pmull, pmull}
#else
#define FS_KERNELS(portable, ssse3, avx2, avx512, neon, pmull)                                     \
    {portable, portable, portable, portable}
#endif

#define FS_TARGET_SSSE3 __attribute__((target("ssse3")))
#define FS_TARGET_AVX2 __attribute__((target("avx2,bmi,bmi2,popcnt,pclmul")))
#define FS_TARGET_AVX512                                                                           \
    __attribute__((target("avx2,bmi,bmi2,popcnt,pclmul,avx512f,avx512bw,avx512dq,avx512vl,"        \
                          "avx512vbmi,avx512vbmi2,avx512bitalg,avx512vpopcntdq,gfni,vpclmulqdq")))
#if defined(__clang__) && __clang_major__ < 16 /* spells it as x86 does */
#define FS_TARGET_PMULL __attribute__((target("crypto")))
#else
#define FS_TARGET_PMULL __attribute__((target("+crypto")))
#endif

/* -1 until the first call. */
extern int32_t fs_tier_now;

static inline int32_t fs_tier(void)
{
    int32_t level = __atomic_load_n(&fs_tier_now, __ATOMIC_RELAXED);
    return level >= 0 ? level : fs_tier_active();
}

#endif
