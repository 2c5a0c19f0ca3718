/* Columns on AArch64: NEON by vector extensions. */
#include "layout_kernels.h"

#if defined(FS_ARM)

#define FS_T
#define fs_columns_128 fs_columns_neon
#include "layout_vector_128.h"

static inline void store_128(uint8_t *to, vec_128 v, int stream)
{
    (void)stream; /* NEON stores one vector past no cache */
    memcpy(to, &v, sizeof v);
}

#include "layout_vector.h"

#endif
