/* Serial framing on AArch64: 16 octets at a time. A comparison is narrowed to four bits an octet, so
 * that the first octet found is a count of trailing zeros away. */
#include "tier.h"

#if defined(FS_ARM)

#include "error.h"
#include "serial_kernels.h"

#include <arm_neon.h>

enum { VECTOR = 16 };

/* Four bits for each octet of a comparison's result. */
static inline uint64_t nibbles(uint8x16_t equal)
{
    return vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(equal), 4)), 0);
}

static inline size_t first(uint64_t mask)
{
    return mask ? (size_t)__builtin_ctzll(mask) / 4 : VECTOR;
}

size_t stuff_neon(const stuffing *code, const uint8_t *in, size_t nbytes, uint8_t *out)
{
    const uint8x16_t flag = vdupq_n_u8(code->flag), escape = vdupq_n_u8(code->escape);
    uint8_t *o = out;
    size_t i = 0;
    while (nbytes - i >= VECTOR) {
        uint8x16_t v = vld1q_u8(in + i);
        size_t at = first(nibbles(vorrq_u8(vceqq_u8(v, flag), vceqq_u8(v, escape))));
        vst1q_u8(o, v);
        o += at;
        i += at;
        if (at < VECTOR) {
            *o++ = code->escape;
            *o++ = in[i++] == code->flag ? code->flag_code : code->escape_code;
        }
    }
    return (size_t)(o - out) + stuff_portable(code, in + i, nbytes - i, o);
}

int64_t unstuff_neon(const stuffing *code, const uint8_t *in, size_t nbytes, uint8_t *out)
{
    const uint8x16_t escape = vdupq_n_u8(code->escape);
    uint8_t *o = out;
    size_t i = 0;
    while (nbytes - i >= VECTOR) {
        uint8x16_t v = vld1q_u8(in + i);
        size_t at = first(nibbles(vceqq_u8(v, escape)));
        vst1q_u8(o, v);
        o += at;
        i += at;
        if (at < VECTOR) {
            if (i + 1 == nbytes || !unescape(code, in[i + 1], o++))
                return FS_E_FORMAT;
            i += 2;
        }
    }
    int64_t rest = unstuff_portable(code, in + i, nbytes - i, o);
    return rest < 0 ? rest : o - out + rest;
}

size_t cobs_neon(const uint8_t *in, size_t nbytes, uint8_t *out)
{
    uint8_t *code = out, *o = out + 1;
    size_t i = 0;
    while (nbytes - i >= VECTOR) {
        if (o - code + VECTOR > COBS_RUN + 1) { /* the run might be full inside: shorten the step */
            uint8_t octet = in[i++];
            *o = octet;
            if (!octet)
                code = cobs_zero(code, o);
            o++;
        } else {
            uint8x16_t v = vld1q_u8(in + i);
            uint64_t zeros = nibbles(vceqzq_u8(v)) & 0x1111111111111111ull;
            vst1q_u8(o, v);
            for (; zeros; zeros &= zeros - 1)
                code = cobs_zero(code, o + first(zeros));
            o += VECTOR;
            i += VECTOR;
        }
        if (o - code == COBS_RUN + 1 && i < nbytes) {
            *code = COBS_RUN + 1;
            code = o++;
        }
    }
    return (size_t)(cobs_rest(in + i, nbytes - i, code, o) - out);
}

#endif
