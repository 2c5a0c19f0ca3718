/* The kernels of the Viterbi decoder in plain C, which are its specification: what the metrics and
 * states are is told in viterbi_kernels.h. The stream around them is viterbi_stream.c. */
#include "flatsat.h"
#include "viterbi_kernels.h"

#include <string.h>

#define SIGN_1(i) 2 * FS_C1(2 * (i)) - 1
#define SIGN_2(i) 2 * FS_C2(2 * (i)) - 1
static const int16_t SIGNS_1[32] = {FS_BUTTERFLIES(SIGN_1)};
static const int16_t SIGNS_2[32] = {FS_BUTTERFLIES(SIGN_2)};

/* Eight octets, the first lowest. */
static inline uint64_t octets_at(const uint8_t *p)
{
    uint64_t x = 0;
    for (int k = 7; k >= 0; k--)
        x = x << 8 | p[k];
    return x;
}

/* The low bits of eight octets, the first lowest: the products do not meet. */
static inline uint64_t low_bits(uint64_t octets)
{
    return (octets & 0x0101010101010101) * 0x0102040810204080 >> 56;
}

static uint64_t forward_step(const uint8_t *pair, int16_t metrics[FS_STATES])
{
    int16_t v1 = (int16_t)(pair[0] - 128), v2 = (int16_t)(pair[1] - 128), next[FS_STATES];
    uint8_t odd[FS_STATES];
    for (int i = 0; i < 32; i++) {
        int16_t g = (int16_t)(SIGNS_1[i] * v1 + SIGNS_2[i] * v2);
        int16_t a = metrics[2 * i], b = metrics[2 * i + 1];
        int16_t a0 = (int16_t)(a + g), b0 = (int16_t)(b - g);
        int16_t a1 = (int16_t)(a - g), b1 = (int16_t)(b + g);
        odd[i] = b0 > a0;
        odd[i + 32] = b1 > a1;
        next[i] = b0 > a0 ? b0 : a0;
        next[i + 32] = b1 > a1 ? b1 : a1;
    }
    memcpy(metrics, next, sizeof next);
    uint64_t decisions = 0;
    for (int i = FS_STATES - 8; i >= 0; i -= 8)
        decisions = decisions << 8 | low_bits(octets_at(odd + i));
    return decisions;
}

void fs_viterbi_forward_portable(fs_lanes *lanes, uint32_t nlanes, size_t nsteps)
{
    for (uint32_t lane = 0; lane < nlanes; lane++) {
        int16_t *m = lanes->metrics[lane];
        for (size_t t = 0; t < nsteps; t++) {
            lanes->decisions[lane][t] = forward_step(lanes->pairs[lane] + 2 * t, m);
            if (t % FS_NORMALISE == FS_NORMALISE - 1 || t == nsteps - 1)
                for (int n = FS_STATES - 1; n >= 0; n--)
                    m[n] = (int16_t)(m[n] - m[0]);
        }
    }
}

void fs_viterbi_forward_rest(fs_lanes *lanes, uint32_t nlanes, size_t from, size_t nsteps)
{
    fs_lanes rest = *lanes;
    for (uint32_t lane = 0; lane < nlanes; lane++)
        rest.pairs[lane] += 2 * from, rest.decisions[lane] += from;
    fs_viterbi_forward_portable(&rest, nlanes, nsteps - from);
    memcpy(lanes->metrics, rest.metrics, sizeof rest.metrics);
}

void fs_viterbi_back_portable(fs_traces *traces, size_t nsteps, size_t first, size_t nwords)
{
    fs_trace(traces, nsteps, first, nwords);
}

uint32_t fs_viterbi_compare_portable(const uint8_t *pairs, uint64_t bits)
{
    uint64_t c1 = bits >> 6 ^ bits >> 5 ^ bits >> 4 ^ bits >> 3 ^ bits;
    uint64_t c2 = bits >> 6 ^ bits >> 4 ^ bits >> 3 ^ bits >> 1 ^ bits;
    uint64_t sent = fs_spread(c1 & 0xFFFFFFFF) | fs_spread(c2 & 0xFFFFFFFF) << 1;
    uint64_t known = 0, ones = 0;
    for (int i = 56; i >= 0; i -= 8) {
        uint64_t x = octets_at(pairs + i), low = 0x7F7F7F7F7F7F7F7F, not_erased = x ^ ~low;
        known = known << 8 | low_bits((((not_erased & low) + low) | not_erased) >> 7);
        ones = ones << 8 | low_bits(x >> 7);
    }
    uint64_t wrong = (ones ^ sent) & known;
    return (uint32_t)(__builtin_popcountll(known) << 8 | __builtin_popcountll(wrong));
}
