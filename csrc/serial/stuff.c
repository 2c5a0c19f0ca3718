/* Octet stuffing of SLIP and HDLC: in a frame an escape and a code stand for each of the two octets
 * that mean something on the line. Words of eight octets without either are copied whole; the test
 * is that of cobs.c for zeros, on the word with the octet looked for subtracted by exclusive or. */
#include "error.h"
#include "serial_kernels.h"

#include <string.h>

enum { WORD = 8 };

static const uint64_t ONES = 0x0101010101010101ull;

static int holds(uint64_t word, uint8_t octet)
{
    uint64_t x = word ^ ONES * octet;
    return ((x - ONES) & ~x & ONES << 7) != 0;
}

size_t stuff_portable(const stuffing *code, const uint8_t *in, size_t nbytes, uint8_t *out)
{
    const uint8_t flag = code->flag, escape = code->escape;
    uint8_t *o = out;
    for (size_t i = 0; i < nbytes;) {
        uint64_t word;
        if (nbytes - i >= WORD) {
            memcpy(&word, in + i, WORD);
            if (!holds(word, flag) && !holds(word, escape)) {
                memcpy(o, &word, WORD);
                o += WORD;
                i += WORD;
                continue;
            }
        }
        size_t end = nbytes - i >= WORD ? i + WORD : nbytes;
        for (; i < end; i++) {
            uint8_t octet = in[i];
            if (octet == flag || octet == escape) {
                *o++ = escape;
                octet = octet == flag ? code->flag_code : code->escape_code;
            }
            *o++ = octet;
        }
    }
    return (size_t)(o - out);
}

int64_t unstuff_portable(const stuffing *code, const uint8_t *in, size_t nbytes, uint8_t *out)
{
    const uint8_t escape = code->escape;
    uint8_t *o = out;
    for (size_t i = 0; i < nbytes;) {
        uint64_t word;
        if (nbytes - i >= WORD) {
            memcpy(&word, in + i, WORD);
            if (!holds(word, escape)) {
                memcpy(o, &word, WORD);
                o += WORD;
                i += WORD;
                continue;
            }
        }
        for (size_t end = nbytes - i >= WORD ? i + WORD : nbytes; i < end; i++) {
            if (in[i] != escape)
                *o++ = in[i];
            else if (++i == nbytes || !unescape(code, in[i], o++))
                return FS_E_FORMAT;
        }
    }
    return o - out;
}
