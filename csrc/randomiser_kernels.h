/* The one kernel of the randomisers, compiled once a tier. */
#ifndef FLATSAT_RANDOMISER_KERNELS_H
#define FLATSAT_RANDOMISER_KERNELS_H

#include "flatsat.h"

#include <string.h>

typedef void fs_pn_kernel(const uint8_t *pn, const uint8_t *in, uint8_t *out, size_t nbytes);

fs_pn_kernel fs_pn_xor_portable, fs_pn_xor_avx2, fs_pn_xor_avx512;

/* Vectors that may stand at any address. The compiler splits them into what the target has. */
typedef uint64_t fs_pn_v64 __attribute__((vector_size(64), aligned(1), may_alias));
typedef uint64_t fs_pn_v32 __attribute__((vector_size(32), aligned(1), may_alias));
typedef uint64_t fs_pn_v16 __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint64_t fs_pn_v8 __attribute__((aligned(1), may_alias));

#define FS_PN_STEP(type, at)                                                                       \
    *(type *)(out + (at)) = *(const type *)(in + (at)) ^ *(const type *)(pn + (at))

/* out = in ^ pn. The odd end goes in halving steps and never twice over an octet: in may be out. */
static inline __attribute__((always_inline)) void
fs_pn_xor(const uint8_t *pn, const uint8_t *in, uint8_t *out, size_t nbytes)
{
    size_t i = 0;
    for (; i + 256 <= nbytes; i += 256) {
        FS_PN_STEP(fs_pn_v64, i);
        FS_PN_STEP(fs_pn_v64, i + 64);
        FS_PN_STEP(fs_pn_v64, i + 128);
        FS_PN_STEP(fs_pn_v64, i + 192);
    }
    for (; i + 64 <= nbytes; i += 64)
        FS_PN_STEP(fs_pn_v64, i);
    if (nbytes & 32) {
        FS_PN_STEP(fs_pn_v32, i);
        i += 32;
    }
    if (nbytes & 16) {
        FS_PN_STEP(fs_pn_v16, i);
        i += 16;
    }
    if (nbytes & 8) {
        FS_PN_STEP(fs_pn_v8, i);
        i += 8;
    }
    for (; i < nbytes; i++)
        out[i] = in[i] ^ pn[i];
}

#endif
