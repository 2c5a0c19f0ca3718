/* Tables of a linear map of one octet, written by the compiler.
 *
 * Every table of a CRC or of a BCH code is linear over GF(2): the entry of an octet is the
 * exclusive or of the entries of its single bits. So a table needs eight numbers and no
 * generator: name them NAME0 (entry of 1) to NAME7 (entry of 128) as enumerators, and
 * FS_LINEAR_256(NAME) lists all 256 entries. A register that shifts makes each number from the one
 * before by a step, a macro of the including file: upwards from the entry of 1, or downwards from
 * that of 128 where the least significant bit goes first. FS_CHAIN_UP and FS_CHAIN_DOWN make the
 * names of four tables in a row, NAME0_ to NAME3_, and FS_TABLES_4 lists them. */
#ifndef FLATSAT_LINEAR_H
#define FLATSAT_LINEAR_H

#define FS_CHAIN_8(step, name, before, a, b, c, d, e, f, g, h)                                     \
    name##a = step(before), name##b = step(name##a), name##c = step(name##b),                      \
    name##d = step(name##c), name##e = step(name##d), name##f = step(name##e),                     \
    name##g = step(name##f), name##h = step(name##g)
#define FS_UP_8(step, name, before) FS_CHAIN_8(step, name, before, 0, 1, 2, 3, 4, 5, 6, 7)
#define FS_DOWN_8(step, name, before) FS_CHAIN_8(step, name, before, 7, 6, 5, 4, 3, 2, 1, 0)
#define FS_CHAIN_UP(step, name, before)                                                            \
    FS_UP_8(step, name##0_, before), FS_UP_8(step, name##1_, name##0_7),                           \
        FS_UP_8(step, name##2_, name##1_7), FS_UP_8(step, name##3_, name##2_7)
#define FS_CHAIN_DOWN(step, name, before)                                                          \
    FS_DOWN_8(step, name##0_, before), FS_DOWN_8(step, name##1_, name##0_0),                       \
        FS_DOWN_8(step, name##2_, name##1_0), FS_DOWN_8(step, name##3_, name##2_0)

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
#define FS_TABLES_4(name)                                                                          \
    {FS_LINEAR_256(name##0_)}, {FS_LINEAR_256(name##1_)}, {FS_LINEAR_256(name##2_)},               \
    {                                                                                              \
        FS_LINEAR_256(name##3_)                                                                    \
    }

#endif
