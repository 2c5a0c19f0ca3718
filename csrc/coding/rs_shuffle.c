/* Constants for rs_shuffle.h: products of an octet by every half of an octet, and powers. */
#include "linear.h"
#include "rs_kernels.h"

#if defined(FS_X86) || defined(FS_ARM)

#include "tables/rs_shuffle.h"

#define ROW(i)                                                                                     \
    {FS_LINEAR_1(FS_RS_N_0_, i), FS_LINEAR_1(FS_RS_N_1_, i), FS_LINEAR_1(FS_RS_N_2_, i),           \
     FS_LINEAR_1(FS_RS_N_3_, i)}
#define ROWS_4(i) ROW((i)), ROW((i) + 1), ROW((i) + 2), ROW((i) + 3)
#define ROWS_16(i) ROWS_4((i)), ROWS_4((i) + 4), ROWS_4((i) + 8), ROWS_4((i) + 12)
#define ROWS_64(i) ROWS_16((i)), ROWS_16((i) + 16), ROWS_16((i) + 32), ROWS_16((i) + 48)

const uint64_t fs_rs_nibbles[256][4] __attribute__((aligned(32))) = {ROWS_64(0), ROWS_64(64),
                                                                      ROWS_64(128), ROWS_64(192)};

#endif
