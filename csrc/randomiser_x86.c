/* The randomisers' kernel with wider registers. */
#include "randomiser_kernels.h"

#if defined(FS_X86)

#include <immintrin.h>

FS_TARGET_AVX2 void fs_pn_xor_avx2(const uint8_t *pn, const uint8_t *in, uint8_t *out,
                                   size_t nbytes)
{
    fs_pn_xor(pn, in, out, nbytes);
}

/* The odd end under a mask. */
FS_TARGET_AVX512 void fs_pn_xor_avx512(const uint8_t *pn, const uint8_t *in, uint8_t *out,
                                       size_t nbytes)
{
    size_t whole = nbytes & ~(size_t)63;
    fs_pn_xor(pn, in, out, whole);
    __mmask64 odd = ((__mmask64)1 << (nbytes & 63)) - 1;
    __m512i a = _mm512_maskz_loadu_epi8(odd, in + whole);
    __m512i b = _mm512_maskz_loadu_epi8(odd, pn + whole);
    _mm512_mask_storeu_epi8(out + whole, odd, _mm512_xor_si512(a, b));
}

#endif
