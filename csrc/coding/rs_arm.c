/* Reed-Solomon with NEON: corrections by shuffles. The shift register stays in general registers,
 * where EXTR shifts one into another. */
#include "rs_kernels.h"

#if defined(FS_ARM)

#include <arm_neon.h>

#define ALWAYS static inline __attribute__((always_inline))
#define VEC_NBYTES 16
#define VEC_MASK_STEP 4

typedef uint8x16_t vec;

ALWAYS vec vec_load(const uint8_t *p)
{
    return vld1q_u8(p);
}

ALWAYS void vec_store(uint8_t *p, vec a)
{
    vst1q_u8(p, a);
}

ALWAYS vec vec_fill(uint8_t octet)
{
    return vdupq_n_u8(octet);
}

ALWAYS vec vec_add(vec a, vec b)
{
    return veorq_u8(a, b);
}

ALWAYS vec vec_table(const uint8_t *p)
{
    return vld1q_u8(p);
}

ALWAYS vec vec_look_up(vec table, vec i)
{
    return vqtbl1q_u8(table, i);
}

ALWAYS vec vec_low(vec a)
{
    return vandq_u8(a, vdupq_n_u8(15));
}

ALWAYS vec vec_high(vec a)
{
    return vshrq_n_u8(a, 4);
}

ALWAYS vec vec_next(vec a, vec b)
{
    return vextq_u8(a, b, 1);
}

ALWAYS unsigned vec_first(vec a)
{
    return vgetq_lane_u8(a, 0);
}

ALWAYS uint64_t vec_equal(vec a, vec b)
{
    uint8x8_t halves = vshrn_n_u16(vreinterpretq_u16_u8(vceqq_u8(a, b)), 4);
    return vget_lane_u64(vreinterpret_u64_u8(halves), 0) & 0x1111111111111111;
}

#include "rs_shuffle.h"

static int correct(const fs_rs_code *code, uint8_t *block, unsigned c, uint8_t *remainder)
{
    return shuffle_correct(code, block, c, remainder);
}

int64_t fs_rs_decode_neon(const fs_rs_code *code, uint8_t *block, int16_t *corrected)
{
    return fs_rs_decode_by(fs_rs_remainders_portable, correct, code, block, corrected);
}

#endif
