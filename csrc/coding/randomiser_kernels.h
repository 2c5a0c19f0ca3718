/* The one kernel of the randomisers, compiled once a tier. */
#ifndef FLATSAT_RANDOMISER_KERNELS_H
#define FLATSAT_RANDOMISER_KERNELS_H

#include "flatsat.h"

#include <string.h>

/* As fs_pn_apply, all of it right. */
typedef void fs_pn_kernel(const uint8_t *pn, const uint8_t *in, size_t in_stride, uint8_t *out,
                          size_t out_stride, size_t nbytes, size_t count);

fs_pn_kernel fs_pn_xor_portable, fs_pn_xor_avx2, fs_pn_xor_avx512;

/* Vectors that may stand at any address. */
typedef uint64_t fs_pn_v64 __attribute__((vector_size(64), aligned(1), may_alias));
typedef uint64_t fs_pn_v32 __attribute__((vector_size(32), aligned(1), may_alias));
typedef uint64_t fs_pn_v16 __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint64_t fs_pn_v8 __attribute__((aligned(1), may_alias));

#define FS_PN_AT(type, at) (*(const type *)(in + (at)) ^ *(const type *)(pn + (at)))

/* out = in ^ pn for at least one vector of octets. What stores do not reach at whole addresses, the
 * two ends, is taken before anything is written, since in may be out, and written last: where the
 * ends overlap the rest they hold the same. */
#define FS_PN_ENDS_AND_MIDDLE(type)                                                                \
    do {                                                                                           \
        enum { V = sizeof(type) };                                                                 \
        const type first = FS_PN_AT(type, 0), last = FS_PN_AT(type, nbytes - V);                   \
        size_t i = V - ((uintptr_t)out & (V - 1));                                                 \
        for (; i + 4 * V < nbytes; i += 4 * V) {                                                   \
            const type a = FS_PN_AT(type, i), b = FS_PN_AT(type, i + V);                           \
            const type c = FS_PN_AT(type, i + 2 * V), d = FS_PN_AT(type, i + 3 * V);               \
            *(type *)(out + i) = a;                                                                \
            *(type *)(out + i + V) = b;                                                            \
            *(type *)(out + i + 2 * V) = c;                                                        \
            *(type *)(out + i + 3 * V) = d;                                                        \
        }                                                                                          \
        for (; i + V < nbytes; i += V)                                                             \
            *(type *)(out + i) = FS_PN_AT(type, i);                                                \
        *(type *)out = first;                                                                      \
        *(type *)(out + nbytes - V) = last;                                                        \
    } while (0)

#endif
