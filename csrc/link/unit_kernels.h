/* What the kernels of fs_unit_copy share; not for users. */
#ifndef FLATSAT_UNIT_KERNELS_H
#define FLATSAT_UNIT_KERNELS_H

#include "tier.h"

#include <stddef.h>

/* out = the octets whose first bits are bit r of each octet of in, ^ flip, ^ pn unless NULL. */
typedef void fs_unit_fn(const uint8_t *in, uint32_t r, uint8_t flip, const uint8_t *pn,
                        uint8_t *out, size_t nbytes);

fs_unit_fn fs_unit_shift_word, fs_unit_mask_word;
#if defined(FS_X86)
fs_unit_fn fs_unit_shift_avx2, fs_unit_shift_avx512, fs_unit_mask_avx2, fs_unit_mask_avx512;
#elif defined(FS_ARM)
fs_unit_fn fs_unit_shift_neon;
#endif

#endif
