/* Units out of a stream of bits: shifted to octets, turned over and derandomised while copied. */
#include "flatsat.h"
#include "unit_kernels.h"

#include <string.h>

/* A word at a time, and an octet at a time at the end. in[i] is the octet of the first bit of out[i],
 * r of 1 to 7 is how far into it that bit lies. */
void fs_unit_shift_word(const uint8_t *in, uint32_t r, uint8_t flip, const uint8_t *pn,
                        uint8_t *out, size_t nbytes)
{
    uint64_t turn = flip * 0x0101010101010101u;
    size_t i = 0;
    for (; i + 8 <= nbytes; i += 8) {
        uint64_t x, mask = 0;
        memcpy(&x, in + i, 8);
        x = __builtin_bswap64(x) << r | in[i + 8] >> (8 - r);
        if (pn)
            memcpy(&mask, pn + i, 8);
        x = __builtin_bswap64(x) ^ mask ^ turn;
        memcpy(out + i, &x, 8);
    }
    for (; i < nbytes; i++)
        out[i] = (uint8_t)((in[i] << r | in[i + 1] >> (8 - r)) ^ (pn ? pn[i] : 0) ^ flip);
}

/* The same for r of 0. */
void fs_unit_mask_word(const uint8_t *in, uint32_t r, uint8_t flip, const uint8_t *pn, uint8_t *out,
                       size_t nbytes)
{
    if (!pn)
        for (size_t i = 0; i < nbytes; i++)
            out[i] = in[i] ^ flip;
    else
        for (size_t i = 0; i < nbytes; i++)
            out[i] = in[i] ^ pn[i] ^ flip;
}

static fs_unit_fn *const SHIFT[FS_TIERS] =
    FS_KERNELS(fs_unit_shift_word, fs_unit_shift_word, fs_unit_shift_avx2, fs_unit_shift_avx512,
               fs_unit_shift_neon, fs_unit_shift_neon);

static fs_unit_fn *const MASK[FS_TIERS] =
    FS_KERNELS(fs_unit_mask_word, fs_unit_mask_word, fs_unit_mask_avx2, fs_unit_mask_avx512,
               fs_unit_mask_word, fs_unit_mask_word);

int64_t fs_unit_copy(const uint8_t *in, uint64_t bit, int32_t inverted, const uint8_t *pn,
                     uint8_t *out, size_t nbytes)
{
    const uint8_t *from = in + (bit >> 3);
    uint32_t r = bit & 7;
    if (!nbytes)
        return 0;
    if (!r && !pn && !inverted)
        memmove(out, from, nbytes);
    else
        (r ? SHIFT : MASK)[fs_tier()](from, r, inverted ? 0xFF : 0, pn, out, nbytes);
    return (int64_t)nbytes;
}
