/* The encoder: any split of the bits gives the symbols of its definition, a bit at a time. */
#include "fuzz.h"

static const char *const SENT[FS_CONV_RATES][2] = {
    {"1", "1"}, {"10", "11"}, {"101", "110"}, {"10101", "11010"}, {"1000101", "1111010"}};

static size_t by_definition(fs_conv_code code, const uint8_t *in, size_t nbits, uint8_t *symbols)
{
    size_t count = 0, period = strlen(SENT[code.rate][0]);
    unsigned reg = 0;
    for (size_t t = 0; t < nbits; t++) {
        reg = reg >> 1 | (in[t / 8] >> (7 - t % 8) & 1u) << 6;
        int c[2] = {__builtin_parity(reg & 0171), __builtin_parity(reg & 0133)};
        c[1] ^= code.rate == FS_CONV_1_2 && code.order <= FS_CONV_DSN;
        for (int k = 0; k < 2; k++) {
            int which = k ^ (code.order & 1);
            if (SENT[code.rate][which][t % period] == '1')
                symbols[count++] = (uint8_t)c[which];
        }
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_input in = {data, nbytes};
    fs_conv_code code = {(uint8_t)take(&in, 1), (uint8_t)take(&in, 1)};
    size_t cut = take(&in, 2);
    fs_conv_encoder e;
    if (fs_conv_begin(&e, &code) < 0) {
        FS_MUST(code.rate >= FS_CONV_RATES || code.order >= FS_CONV_ORDERS);
        return 0;
    }
    size_t nbits = 8 * in.nbytes;
    cut = nbits ? cut % (nbits + 1) & ~(size_t)7 : 0;
    size_t odd = nbits - cut > 3 ? 3 : 0; /* bits left out at the end */
    uint8_t *head = exact(in.data, cut / 8), *tail = exact(in.data + cut / 8, (nbits - cut) / 8);
    uint8_t *want = exact(NULL, 2 * nbits);
    size_t count = by_definition(code, in.data, nbits - odd, want);
    size_t room = fs_conv_nbytes(&e, cut);
    uint8_t *first = exact(NULL, room);
    int64_t n = fs_conv_encode(&e, head, cut, first, room);
    room = fs_conv_nbytes(&e, nbits - odd - cut) + 1;
    uint8_t *second = exact(NULL, room);
    int64_t m = fs_conv_encode(&e, tail, nbits - odd - cut, second, room);
    FS_MUST(n >= 0 && m >= 0 && e.symbols == count);
    m += fs_conv_flush(&e, second + m, room - (size_t)m);
    FS_MUST((size_t)(n + m) == (count + 7) / 8);
    for (size_t i = 0; i < 8 * (size_t)(n + m); i++) {
        uint8_t octet = i / 8 < (size_t)n ? first[i / 8] : second[i / 8 - (size_t)n];
        FS_MUST((octet >> (7 - i % 8) & 1) == (i < count ? want[i] : 0));
    }
    free(head);
    free(tail);
    free(want);
    free(first);
    free(second);
    return 0;
}
