/* The Viterbi decoder on AArch64: metrics of 64 states in eight registers of eight; UZP splits
 * even states from odd ones, TBL picks the g of each butterfly from {q, -q, p, -p}. */
#include "flatsat.h"
#include "viterbi_kernels.h"

#if defined(FS_ARM)
#include <arm_neon.h>

static const uint8_t CHOICES[64] = {FS_BUTTERFLIES(FS_CHOICE_OCTETS)};

/* One bit an octet of four registers of masks, the first octet's lowest. */
static inline uint64_t mask_bits(const uint16x8_t odd[8])
{
    const uint8x16_t place = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
    uint8x16_t x[4];
    for (int r = 0; r < 4; r++) {
        uint8x16_t mask = vuzp1q_u8(vreinterpretq_u8_u16(odd[2 * r]),
                                    vreinterpretq_u8_u16(odd[2 * r + 1]));
        x[r] = vandq_u8(mask, place);
    }
    uint8x16_t sum = vpaddq_u8(vpaddq_u8(x[0], x[1]), vpaddq_u8(x[2], x[3]));
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sum, sum)), 0);
}

static inline uint64_t step(int16x8_t m[8], const uint8x16_t choices[4], int16x8_t quad)
{
    int16x8_t next[8];
    uint16x8_t odd[8];
    for (int r = 0; r < 4; r++) {
        int16x8_t a = vuzp1q_s16(m[2 * r], m[2 * r + 1]), b = vuzp2q_s16(m[2 * r], m[2 * r + 1]);
        int16x8_t g = vreinterpretq_s16_u8(vqtbl1q_u8(vreinterpretq_u8_s16(quad), choices[r]));
        int16x8_t a0 = vaddq_s16(a, g), b0 = vsubq_s16(b, g);
        int16x8_t a1 = vsubq_s16(a, g), b1 = vaddq_s16(b, g);
        next[r] = vmaxq_s16(a0, b0), odd[r] = vcgtq_s16(b0, a0);
        next[r + 4] = vmaxq_s16(a1, b1), odd[r + 4] = vcgtq_s16(b1, a1);
    }
    for (int r = 0; r < 8; r++)
        m[r] = next[r];
    return mask_bits(odd);
}

/* Four steps at a time. */
static void blocks(const uint8_t *pairs, int16_t metrics[FS_STATES], uint64_t *decisions,
                   size_t nsteps)
{
    const uint16x8_t second = vreinterpretq_u16_u32(vdupq_n_u32(0xFFFF0000));
    int16x8_t m[8];
    uint8x16_t choices[4];
    for (int r = 0; r < 8; r++)
        m[r] = vld1q_s16(metrics + 8 * r);
    for (int r = 0; r < 4; r++)
        choices[r] = vld1q_u8(CHOICES + 16 * r);
    for (size_t t = 0; t < nsteps; t += 4) {
        uint16x8_t wide = vmovl_u8(vld1_u8(pairs + 2 * t));
        int16x8_t v = vsubq_s16(vreinterpretq_s16_u16(wide), vdupq_n_s16(128));
        int16x8_t other = vrev32q_s16(v), sum = vaddq_s16(v, other);
        int32x4_t q = vreinterpretq_s32_s16(vsubq_s16(v, other));
        int32x4_t p = vreinterpretq_s32_s16(vbslq_s16(second, vnegq_s16(sum), sum));
        int16x8_t low = vreinterpretq_s16_s32(vzip1q_s32(q, p));
        int16x8_t high = vreinterpretq_s16_s32(vzip2q_s32(q, p));
        decisions[t] = step(m, choices, low);
        decisions[t + 1] = step(m, choices, vextq_s16(low, low, 4));
        decisions[t + 2] = step(m, choices, high);
        decisions[t + 3] = step(m, choices, vextq_s16(high, high, 4));
        if ((t + 4) % FS_NORMALISE && t + 4 != nsteps)
            continue;
        int16x8_t zero = vdupq_laneq_s16(m[0], 0);
        for (int r = 0; r < 8; r++)
            m[r] = vsubq_s16(m[r], zero);
    }
    for (int r = 0; r < 8; r++)
        vst1q_s16(metrics + 8 * r, m[r]);
}

void fs_viterbi_forward_neon(fs_lanes *lanes, uint32_t nlanes, size_t nsteps)
{
    size_t whole = nsteps & ~(size_t)3;
    for (uint32_t l = 0; l < nlanes; l++)
        blocks(lanes->pairs[l], lanes->metrics[l], lanes->decisions[l], whole);
    fs_viterbi_forward_rest(lanes, nlanes, whole, nsteps);
}

#endif
