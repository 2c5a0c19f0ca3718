/* The randomisers' kernel with wider registers. */
#include "randomiser_kernels.h"

#if defined(FS_X86)

FS_TARGET_AVX2 void fs_pn_xor_avx2(const uint8_t *pn, const uint8_t *in, size_t in_stride,
                                   uint8_t *out, size_t out_stride, size_t nbytes, size_t count)
{
    if (nbytes < 32) {
        fs_pn_xor_portable(pn, in, in_stride, out, out_stride, nbytes, count);
        return;
    }
    for (; count; in += in_stride, out += out_stride, count--)
        FS_PN_ENDS_AND_MIDDLE(fs_pn_v32);
}

FS_TARGET_AVX512 void fs_pn_xor_avx512(const uint8_t *pn, const uint8_t *in, size_t in_stride,
                                       uint8_t *out, size_t out_stride, size_t nbytes, size_t count)
{
    if (nbytes < 64) {
        fs_pn_xor_avx2(pn, in, in_stride, out, out_stride, nbytes, count);
        return;
    }
    for (; count; in += in_stride, out += out_stride, count--)
        FS_PN_ENDS_AND_MIDDLE(fs_pn_v64);
}

#endif
