/* Words of eight octets, most significant octet first, at any address; internal. */
#ifndef FLATSAT_WORDS_H
#define FLATSAT_WORDS_H

#include <stdint.h>
#include <string.h>

static inline uint64_t fs_load_be(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static inline void fs_store_be(uint8_t *at, uint64_t word)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    memcpy(at, &word, sizeof word);
}

#endif
