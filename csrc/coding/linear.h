/* Tables of a linear map of one octet, written by the compiler.
 *
 * Every table of a CRC or of a BCH code is linear over GF(2): the entry of an octet is the
 * exclusive or of the entries of its single bits. So a table needs eight numbers and no
 * generator: name them NAME0 (entry of 1) to NAME7 (entry of 128) as enumerators, and
 * FS_LINEAR_256(NAME) lists all 256 entries. FS_CHAIN_8 makes such names, each from the one
 * before by FS_STEP, which the including file defines. */
#ifndef FLATSAT_LINEAR_H
#define FLATSAT_LINEAR_H

#define FS_CHAIN_8(name, before)                                                                   \
    name##0 = FS_STEP(before), name##1 = FS_STEP(name##0), name##2 = FS_STEP(name##1),             \
    name##3 = FS_STEP(name##2), name##4 = FS_STEP(name##3), name##5 = FS_STEP(name##4),            \
    name##6 = FS_STEP(name##5), name##7 = FS_STEP(name##6)

#define FS_LINEAR_1(name, i)                                                                       \
    (((i) & 1) * name##0) ^ (((i) >> 1 & 1) * name##1) ^ (((i) >> 2 & 1) * name##2) ^              \
        (((i) >> 3 & 1) * name##3) ^ (((i) >> 4 & 1) * name##4) ^ (((i) >> 5 & 1) * name##5) ^     \
        (((i) >> 6 & 1) * name##6) ^ (((i) >> 7 & 1) * name##7)
#define FS_LINEAR_4(name, i)                                                                       \
    FS_LINEAR_1(name, (i)), FS_LINEAR_1(name, (i) + 1), FS_LINEAR_1(name, (i) + 2),                \
        FS_LINEAR_1(name, (i) + 3)
#define FS_LINEAR_16(name, i)                                                                      \
    FS_LINEAR_4(name, (i)), FS_LINEAR_4(name, (i) + 4), FS_LINEAR_4(name, (i) + 8),                \
        FS_LINEAR_4(name, (i) + 12)
#define FS_LINEAR_64(name, i)                                                                      \
    FS_LINEAR_16(name, (i)), FS_LINEAR_16(name, (i) + 16), FS_LINEAR_16(name, (i) + 32),           \
        FS_LINEAR_16(name, (i) + 48)
#define FS_LINEAR_256(name)                                                                        \
    FS_LINEAR_64(name, 0), FS_LINEAR_64(name, 64), FS_LINEAR_64(name, 128), FS_LINEAR_64(name, 192)

#endif
