/* Hard symbols, in calls of any length with no more room than is asked for, are soft ones at full
 * strength; and a stream that was encoded and meets a wrong symbol now and then comes back. */
#include "fuzz.h"

static fs_viterbi hard, soft;

/* Feed the symbols in pieces of `step`, flush, and compare with the soft decoder. Returns octets. */
static size_t both(const fs_viterbi_setup *setup, const uint8_t *packed, size_t count, size_t step,
                   uint8_t *out)
{
    size_t written = 0;
    uint8_t one[4096];
    fs_viterbi_begin(&hard, setup);
    fs_viterbi_begin(&soft, setup);
    for (size_t at = 0, n; at < count; at += n) {
        n = count - at < step ? count - at : step;
        uint8_t *bits = exact(NULL, (n + 7) / 8);
        for (size_t i = 0; i < n; i++) {
            int bit = packed[(at + i) / 8] >> (7 - (at + i) % 8) & 1;
            bits[i / 8] |= (uint8_t)(bit << (7 - i % 8));
            one[i] = bit ? 255 : 0;
        }
        size_t room = fs_viterbi_nbytes(&hard, n);
        uint8_t *a = exact(NULL, room), *b = exact(NULL, room);
        int64_t got = fs_viterbi_feed_hard(&hard, bits, n, a, room);
        FS_MUST(got >= 0 && got == fs_viterbi_feed(&soft, one, n, b, room));
        FS_MUST(!memcmp(a, b, (size_t)got));
        memcpy(out + written, a, (size_t)got);
        written += (size_t)got;
        free(a);
        free(b);
        free(bits);
    }
    size_t room = fs_viterbi_nbytes(&hard, 0);
    uint8_t *a = exact(NULL, room);
    int64_t got = fs_viterbi_flush(&hard, -1, a, room);
    FS_MUST(got >= 0 && hard.symbols == count && soft.symbols == count);
    memcpy(out + written, a, (size_t)got);
    free(a);
    return written + (size_t)got;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    static uint8_t air[4096], out[8192], message[512];
    fuzz_input in = {data, nbytes};
    fs_viterbi_setup setup = {.code = {(uint8_t)take(&in, 1) % 5, (uint8_t)take(&in, 1) % 4}};
    setup.segment = (uint16_t)(64 * (take(&in, 1) % 6));
    setup.start = (int16_t)((take(&in, 1) & 1) - 1);
    size_t step = 1 + take(&in, 2) % 1200, early = take(&in, 1) % 8;
    fs_tier_force((int32_t)(step % ((size_t)fs_tier_best() + 1)));
    size_t used = in.nbytes < sizeof air ? in.nbytes : sizeof air;
    uint8_t *packed = exact(in.data, used);
    both(&setup, packed, used * 8 - (used ? early : 0), step, out);
    free(packed);
    fs_conv_encoder encoder;
    fs_conv_begin(&encoder, &setup.code);
    used = in.nbytes < sizeof message ? in.nbytes : sizeof message;
    memset(message, 0, sizeof message);
    if (used)
        memcpy(message, in.data, used);
    int64_t n = fs_conv_encode(&encoder, message, 8 * used, air, sizeof air);
    FS_MUST(n >= 0);
    n += fs_conv_flush(&encoder, air + n, sizeof air - (size_t)n);
    for (int64_t i = 30; i < n - 30; i += 40)
        air[i] ^= (uint8_t)(1 << early);
    size_t count = (size_t)encoder.symbols;
    FS_MUST(both(&setup, air, count, step, out) >= used);
    FS_MUST(used < 40 || !memcmp(out, message, used - 30));
    return 0;
}
