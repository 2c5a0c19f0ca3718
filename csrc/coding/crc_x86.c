/* CRCs by PCLMULQDQ (crc_fold.h), and CRC-32C by its own instruction. */
#include "crc_fold.h"

#if defined(FS_X86)

#include <immintrin.h>
#include <string.h>

#define FOLD_TARGET FS_TARGET_AVX2
typedef __m128i v128;

FOLD_TARGET static inline v128 fold_raw(const uint8_t *p, uint32_t octets)
{
    return _mm_xor_si128(_mm_loadu_si128((const v128 *)p), _mm_cvtsi32_si128((int)octets));
}

/* The CRC of mirrored octets has an instruction of its own, see below. */
FOLD_TARGET static inline v128 fold_head(const uint8_t *p, uint32_t octets, size_t head,
                                         int mirrored)
{
    (void)mirrored;
    v128 places = _mm_loadu_si128((const v128 *)(FS_CRC_HEAD + 16 - head));
    return _mm_shuffle_epi8(fold_raw(p, octets), places);
}

FOLD_TARGET static inline v128 fold_load(const uint8_t *p, uint32_t octets, int mirrored)
{
    (void)mirrored;
    return _mm_shuffle_epi8(fold_raw(p, octets), _mm_loadu_si128((const v128 *)FS_CRC_HEAD));
}

FOLD_TARGET static inline v128 fold_xor(v128 a, v128 b)
{
    return _mm_xor_si128(a, b);
}

FOLD_TARGET static inline v128 fold_move(v128 a, const uint64_t *k)
{
    v128 by = _mm_loadu_si128((const v128 *)k);
    return _mm_xor_si128(_mm_clmulepi64_si128(a, by, 0x11), _mm_clmulepi64_si128(a, by, 0x00));
}

/* A sum of weighted quadwords, 96 bits, to the remainder. */
FOLD_TARGET static inline uint32_t fold_reduce(const fs_crc_fold *k, v128 sum)
{
    v128 x64 = _mm_cvtsi64_si128((long long)k->x64);
    v128 mu = _mm_loadu_si128((const v128 *)k->mu);
    v128 c = _mm_xor_si128(_mm_clmulepi64_si128(sum, x64, 0x01), sum);
    v128 q = _mm_srli_epi64(_mm_clmulepi64_si128(_mm_srli_epi64(c, 32), mu, 0x00), 32);
    return (uint32_t)_mm_cvtsi128_si32(_mm_xor_si128(_mm_clmulepi64_si128(q, mu, 0x10), c));
}

#include "crc_fold128.h"

FS_TARGET_AVX2 uint16_t fs_crc16_avx2(const uint8_t *buf, size_t nbytes, uint16_t init)
{
    if (nbytes < 16)
        return fs_crc16_portable(buf, nbytes, init);
    return (uint16_t)(fold_octets(&FS_FOLD_CRC16, buf, nbytes, FS_CRC16_AS_OCTETS(init), 0) >> 16);
}

FS_TARGET_AVX2 uint32_t fs_crc32_uslp_avx2(const uint8_t *buf, size_t nbytes, uint32_t init)
{
    if (nbytes < 16)
        return fs_crc32_uslp_portable(buf, nbytes, init);
    return fold_octets(&FS_FOLD_CRC32_USLP, buf, nbytes, FS_CRC32_USLP_AS_OCTETS(init), 0);
}

FS_CRC_BATCH(FS_TARGET_AVX2, uint16_t, fs_crc16_batch_avx2, fs_crc16_avx2)
FS_CRC_BATCH(FS_TARGET_AVX2, uint32_t, fs_crc32_uslp_batch_avx2, fs_crc32_uslp_avx2)

/* CRC-32C has an instruction: 8 octets each cycle, the result three cycles later. So three streams
 * of `nbytes` octets run side by side and are put together: the product of two mirrored polynomials
 * of 32 bits, read as one of 64, is too high by a factor of x, and the instruction multiplies by
 * x^32. Hence k = x^(8 * distance - 33) moves a register over that distance. */

FS_TARGET_AVX2 static inline uint64_t eight_octets(uint64_t r, const uint8_t *p)
{
    uint64_t octets;
    memcpy(&octets, p, 8);
    return _mm_crc32_u64(r, octets);
}

FS_TARGET_AVX2 static inline uint64_t three_streams(uint64_t r, const uint8_t *p, size_t nbytes,
                                                    const uint64_t *k)
{
    uint64_t s = 0, t = 0;
    for (size_t i = 0; i < nbytes; i += 8) {
        r = eight_octets(r, p + i);
        s = eight_octets(s, p + nbytes + i);
        t = eight_octets(t, p + 2 * nbytes + i);
    }
    __m128i by = _mm_loadu_si128((const __m128i *)k);
    __m128i far = _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)r), by, 0x00);
    __m128i near = _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)s), by, 0x10);
    return t ^ _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(_mm_xor_si128(far, near)));
}

FS_TARGET_AVX2 uint32_t fs_crc32c_avx2(const uint8_t *buf, size_t nbytes, uint32_t init)
{
    uint64_t r = (uint32_t)~init;
    for (; nbytes >= 3 * 1024; buf += 3 * 1024, nbytes -= 3 * 1024)
        r = three_streams(r, buf, 1024, FS_CRC32C_1024);
    for (; nbytes >= 3 * 128; buf += 3 * 128, nbytes -= 3 * 128)
        r = three_streams(r, buf, 128, FS_CRC32C_128);
    for (; nbytes >= 8; buf += 8, nbytes -= 8)
        r = eight_octets(r, buf);
    for (; nbytes; buf++, nbytes--)
        r = _mm_crc32_u8((uint32_t)r, *buf);
    return ~(uint32_t)r;
}

FS_CRC_BATCH(FS_TARGET_AVX2, uint32_t, fs_crc32c_batch_avx2, fs_crc32c_avx2)

#endif
