/* Copying units with NEON. */
#include "flatsat.h"
#include "unit_kernels.h"

#if defined(FS_ARM)

#include <arm_neon.h>

void fs_unit_shift_neon(const uint8_t *in, uint32_t r, uint8_t flip, const uint8_t *pn,
                        uint8_t *out, size_t nbytes)
{
    int8x16_t left = vdupq_n_s8((int8_t)r), right = vdupq_n_s8((int8_t)(r - 8));
    uint8x16_t turn = vdupq_n_u8(flip);
    size_t i = 0;
    for (; i + 16 <= nbytes; i += 16) {
        uint8x16_t a = vshlq_u8(vld1q_u8(in + i), left);
        a = veorq_u8(vorrq_u8(a, vshlq_u8(vld1q_u8(in + i + 1), right)), turn);
        if (pn)
            a = veorq_u8(a, vld1q_u8(pn + i));
        vst1q_u8(out + i, a);
    }
    fs_unit_shift_word(in + i, r, flip, pn ? pn + i : NULL, out + i, nbytes - i);
}

#endif
