/* Serial framing on x86-64: 32 octets at a time with AVX2, 64 with AVX-512, whose compress and expand
 * instructions take out and put in escapes without a branch.
 *
 * Taking escapes out pays with AVX-512 only: with AVX2 the branch at each costs more than words of
 * eight octets do.
 *
 * A whole vector is stored although fewer octets may count: that stays inside, because output has
 * room for the worst case of the input up to the vector's end. */
#include "tier.h"

#if defined(FS_X86)

#include "error.h"
#include "serial_kernels.h"

#include <immintrin.h>

enum { YMM = 32, ZMM = 64 };

FS_TARGET_AVX2 size_t stuff_avx2(const stuffing *code, const uint8_t *in, size_t nbytes,
                                 uint8_t *out)
{
    const __m256i flag = _mm256_set1_epi8((char)code->flag);
    const __m256i escape = _mm256_set1_epi8((char)code->escape);
    uint8_t *o = out;
    size_t i = 0;
    while (nbytes - i >= YMM) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(in + i));
        __m256i special = _mm256_or_si256(_mm256_cmpeq_epi8(v, flag), _mm256_cmpeq_epi8(v, escape));
        uint32_t at = _tzcnt_u32((uint32_t)_mm256_movemask_epi8(special));
        _mm256_storeu_si256((__m256i *)o, v);
        o += at;
        i += at;
        if (at < YMM) {
            *o++ = code->escape;
            *o++ = in[i++] == code->flag ? code->flag_code : code->escape_code;
        }
    }
    return (size_t)(o - out) + stuff_portable(code, in + i, nbytes - i, o);
}

FS_TARGET_AVX2 size_t cobs_avx2(const uint8_t *in, size_t nbytes, uint8_t *out)
{
    uint8_t *code = out, *o = out + 1;
    size_t i = 0;
    while (nbytes - i >= YMM) {
        if (o - code + YMM > COBS_RUN + 1) { /* the run might be full inside: shorten the step */
            uint8_t octet = in[i++];
            *o = octet;
            if (!octet)
                code = cobs_zero(code, o);
            o++;
        } else {
            __m256i v = _mm256_loadu_si256((const __m256i *)(in + i));
            __m256i zero = _mm256_cmpeq_epi8(v, _mm256_setzero_si256());
            _mm256_storeu_si256((__m256i *)o, v);
            for (uint32_t m = (uint32_t)_mm256_movemask_epi8(zero); m; m &= m - 1)
                code = cobs_zero(code, o + _tzcnt_u32(m));
            o += YMM;
            i += YMM;
        }
        if (o - code == COBS_RUN + 1 && i < nbytes) {
            *code = COBS_RUN + 1;
            code = o++;
        }
    }
    return (size_t)(cobs_rest(in + i, nbytes - i, code, o) - out);
}

/* Masks of the lowest n lanes, n from 0 to the width. */
FS_TARGET_AVX512 static inline uint64_t low_lanes(size_t n)
{
    return _bzhi_u64(~0ull, (unsigned)n);
}

/* Half a vector of input: each special octet makes room for an escape in front of it. In the mask of
 * pairs, the upper bit of each is its octet and the lower, where it is special, its escape;
 * extracting by that mask leaves one bit an octet of output, 0 where an escape goes. */
FS_TARGET_AVX512 size_t stuff_avx512(const stuffing *code, const uint8_t *in, size_t nbytes,
                                     uint8_t *out)
{
    const uint64_t octets = 0xAAAAAAAAAAAAAAAAull, escapes = 0x5555555555555555ull;
    const __m256i flag = _mm256_set1_epi8((char)code->flag);
    const __m256i escape = _mm256_set1_epi8((char)code->escape);
    const __m256i flag_code = _mm256_set1_epi8((char)code->flag_code);
    const __m256i escape_code = _mm256_set1_epi8((char)code->escape_code);
    const __m512i fill = _mm512_set1_epi8((char)code->escape);
    uint8_t *o = out;
    for (size_t i = 0; i < nbytes; i += YMM) {
        size_t n = nbytes - i < YMM ? nbytes - i : YMM;
        __mmask32 lanes = (__mmask32)low_lanes(n);
        __m256i v = _mm256_maskz_loadu_epi8(lanes, in + i);
        __mmask32 flags = _mm256_mask_cmpeq_epi8_mask(lanes, v, flag);
        __mmask32 special = flags | _mm256_mask_cmpeq_epi8_mask(lanes, v, escape);
        v = _mm256_mask_blend_epi8(special, v, escape_code);
        v = _mm256_mask_blend_epi8(flags, v, flag_code);
        uint64_t kept = _pext_u64(octets, octets | _pdep_u64(special, escapes));
        size_t length = n + (size_t)__builtin_popcount(special);
        __m512i wide = _mm512_mask_expand_epi8(fill, kept, _mm512_castsi256_si512(v));
        if (n == YMM)
            _mm512_storeu_si512(o, wide);
        else
            _mm512_mask_storeu_epi8(o, low_lanes(length), wide);
        o += length;
    }
    return (size_t)(o - out);
}

FS_TARGET_AVX512 int64_t unstuff_avx512(const stuffing *code, const uint8_t *in, size_t nbytes,
                                        uint8_t *out)
{
    const __m512i escape = _mm512_set1_epi8((char)code->escape);
    const __m512i flip = _mm512_set1_epi8(0x20);
    uint8_t *o = out;
    uint64_t carry = 0; /* the last octet was an escape */
    for (size_t i = 0; i < nbytes; i += ZMM) {
        size_t n = nbytes - i < ZMM ? nbytes - i : ZMM;
        uint64_t lanes = low_lanes(n);
        __m512i v = _mm512_maskz_loadu_epi8(lanes, in + i);
        uint64_t escapes = _mm512_mask_cmpeq_epi8_mask(lanes, v, escape);
        uint64_t codes = (escapes << 1 | carry) & lanes;
        if (escapes & codes) { /* an escaped escape: rare, and wrong in SLIP */
            int64_t rest = unstuff_portable(code, in + i - carry, nbytes - i + carry, o);
            return rest < 0 ? rest : o - out + rest;
        }
        if (codes) {
            uint64_t flags =
                _mm512_mask_cmpeq_epi8_mask(codes, v, _mm512_set1_epi8((char)code->flag_code));
            uint64_t others = codes & ~flags;
            uint64_t doubles = _mm512_mask_cmpeq_epi8_mask(
                others, v, _mm512_set1_epi8((char)code->escape_code));
            if (others != doubles && !code->any)
                return FS_E_FORMAT;
            v = _mm512_mask_blend_epi8(others, v, _mm512_xor_si512(v, flip));
            v = _mm512_mask_blend_epi8(doubles, v, escape);
            v = _mm512_mask_blend_epi8(flags, v, _mm512_set1_epi8((char)code->flag));
        }
        uint64_t kept = lanes & ~escapes;
        size_t length = (size_t)__builtin_popcountll(kept);
        _mm512_mask_storeu_epi8(o, low_lanes(length), _mm512_maskz_compress_epi8(kept, v));
        o += length;
        carry = escapes >> (n - 1) & 1;
    }
    return carry ? FS_E_FORMAT : o - out;
}

FS_TARGET_AVX512 size_t cobs_avx512(const uint8_t *in, size_t nbytes, uint8_t *out)
{
    uint8_t *code = out, *o = out + 1;
    for (size_t i = 0; i < nbytes;) {
        size_t left = (size_t)(COBS_RUN + 1 - (o - code)), n = nbytes - i;
        n = n < left ? n : left;
        n = n < ZMM ? n : ZMM;
        uint64_t lanes = low_lanes(n);
        __m512i v = _mm512_maskz_loadu_epi8(lanes, in + i);
        uint64_t zeros = _mm512_mask_testn_epi8_mask(lanes, v, v);
        _mm512_mask_storeu_epi8(o, lanes, v);
        for (; zeros; zeros &= zeros - 1)
            code = cobs_zero(code, o + _tzcnt_u64(zeros));
        o += n;
        i += n;
        if (o - code == COBS_RUN + 1 && i < nbytes) {
            *code = COBS_RUN + 1;
            code = o++;
        }
    }
    *code = (uint8_t)(o - code);
    return (size_t)(o - out);
}

#endif
