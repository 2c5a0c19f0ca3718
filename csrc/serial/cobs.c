/* Consistent overhead byte stuffing (Cheshire and Baker, "Consistent Overhead Byte Stuffing",
 * IEEE/ACM Transactions on Networking 7(2), 1999), without its delimiter.
 *
 * Content with a zero thought behind it is cut behind each zero. A piece of k octets and its zero
 * becomes the code k + 1 and the k octets; a run of 254 octets without a zero becomes the code 255
 * and the run. So a code says how far the next one is, and the octet in front of a code was a zero,
 * unless the code before was 255 or the content ends there.
 *
 * Encoding copies words of eight octets and then sets the codes at the zeros in them, found as
 * bits: for an octet x, ((x & 0x7F) + 0x7F | x) has its top bit clear only if x is 0. */
#include "serial.h"
#include "serial_kernels.h"

#include <string.h>

enum { RUN = COBS_RUN, WORD = 8 };

static uint64_t zero_octets(uint64_t word)
{
    const uint64_t low = 0x7F7F7F7F7F7F7F7Full;
    uint64_t zeros = ~(((word & low) + low) | word | low);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    zeros = __builtin_bswap64(zeros);
#endif
    return zeros;
}

/* Whole words, as many as the run and the input hold; stops behind a word with zeros. */
static inline size_t copy_words(const uint8_t *in, size_t nbytes, uint8_t *o, uint64_t *zeros)
{
    size_t n = 0;
    for (*zeros = 0; nbytes - n >= WORD && !*zeros; n += WORD) {
        uint64_t word;
        memcpy(&word, in + n, WORD);
        memcpy(o + n, &word, WORD);
        *zeros = zero_octets(word);
    }
    return n;
}

uint8_t *cobs_rest(const uint8_t *in, size_t nbytes, uint8_t *code, uint8_t *o)
{
    const uint8_t *end = in + nbytes;
    while (in < end) {
        size_t left = (size_t)(end - in), run = (size_t)(code + RUN + 1 - o);
        uint64_t zeros;
        size_t n = copy_words(in, left < run ? left : run, o, &zeros);
        for (; zeros; zeros &= zeros - 1)
            code = cobs_zero(code, o + n - WORD + __builtin_ctzll(zeros) / 8);
        o += n;
        in += n;
        if (!n) {
            *o = *in++;
            if (!*o)
                code = cobs_zero(code, o);
            o++;
        }
        if (o - code == RUN + 1 && in < end) {
            *code = RUN + 1;
            code = o++;
        }
    }
    *code = (uint8_t)(o - code);
    return o;
}

size_t cobs_portable(const uint8_t *in, size_t nbytes, uint8_t *out)
{
    return (size_t)(cobs_rest(in, nbytes, out, out + 1) - out);
}
