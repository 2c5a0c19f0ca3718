/* What the sources of the convolutional code share; no part of the interface.
 *
 * A state of the trellis is written with its newest bit highest: n = x[t] << 5 | ... | x[t-5]. Its
 * two predecessors are then 2n mod 64 and that + 1, so the step back is n' = (2n + k) mod 64 with
 * k the decision, and a register that is doubled and never cut keeps the bits passed on its way.
 *
 * Both generators have ones at both ends: the two branches into a state carry complementary
 * symbols, as do the branches out of one. So a step needs one number g a butterfly i < 32:
 *
 *     into i:      a + g  or  b - g        a, b: metrics of states 2i and 2i + 1
 *     into i + 32: a - g  or  b + g
 *
 * and g is p, -p, q or -q, where p = v1 + v2 and q = v1 - v2 of the symbols v around zero. The
 * better metric is the greater one.
 *
 * |g| <= 254, and any state is six steps from the best one six steps ago, so metrics differ by at
 * most 6 * 508. Taken from that of state 0 every 64 steps, 16 bits hold them with room. */
#ifndef FLATSAT_VITERBI_KERNELS_H
#define FLATSAT_VITERBI_KERNELS_H

#include "viterbi.h"

enum { FS_STATES = 64, FS_NORMALISE = 64, FS_ERASED = 128 };

/* Metric of a state that cannot be: further down than any that can. */
enum { FS_IMPOSSIBLE = -8192 };

#define FS_PARITY(x) (0x6996 >> (((x) ^ (x) >> 4) & 15) & 1)
#define FS_C1(reg) FS_PARITY((reg) & 0x79)
#define FS_C2(reg) FS_PARITY((reg) & 0x5B)

/* f(i) for every butterfly. */
#define FS_BUTTERFLIES_8(f, i)                                                                     \
    f((i)), f((i) + 1), f((i) + 2), f((i) + 3), f((i) + 4), f((i) + 5), f((i) + 6), f((i) + 7)
#define FS_BUTTERFLIES(f)                                                                          \
    FS_BUTTERFLIES_8(f, 0), FS_BUTTERFLIES_8(f, 8), FS_BUTTERFLIES_8(f, 16), FS_BUTTERFLIES_8(f, 24)

/* Where the g of butterfly i stands in {q, -q, p, -p}, and the two octets of it. */
#define FS_CHOICE(i) ((FS_C1(2 * (i)) == FS_C2(2 * (i))) * 2 + !FS_C1(2 * (i)))
#define FS_CHOICE_OCTETS(i) 2 * FS_CHOICE(i), 2 * FS_CHOICE(i) + 1

/* Segments side by side: symbol pairs in, metrics changed, a word of decisions a step out; bit n
 * is the decision of state n. */
typedef struct {
    const uint8_t *pairs[FS_VITERBI_LANES];
    uint64_t *decisions[FS_VITERBI_LANES];
    int16_t metrics[FS_VITERBI_LANES][FS_STATES];
} fs_lanes;

typedef void fs_viterbi_forward(fs_lanes *lanes, uint32_t nlanes, size_t nsteps);
fs_viterbi_forward fs_viterbi_forward_portable, fs_viterbi_forward_ssse3, fs_viterbi_forward_avx2,
    fs_viterbi_forward_avx512, fs_viterbi_forward_neon;

/* Steps from..nsteps by the portable kernel, for those that take whole blocks. */
void fs_viterbi_forward_rest(fs_lanes *lanes, uint32_t nlanes, size_t from, size_t nsteps);

/* Steps back over the decisions of steps [0, nsteps), side by side, from paths[lane] = n.
 * words[lane][w] becomes the path's bits of 64 steps, the first lowest, for each of nwords words
 * from step `first` on; nsteps >= first + 64 * nwords + 6. paths[lane] is left with the six bits
 * before `first`, the oldest lowest. */
typedef struct {
    const uint64_t *decisions[FS_VITERBI_LANES];
    uint64_t paths[FS_VITERBI_LANES];
    uint64_t words[FS_VITERBI_LANES][FS_VITERBI_SEGMENT / 64];
} fs_traces;

typedef void fs_viterbi_back(fs_traces *traces, size_t nsteps, size_t first, size_t nwords);
fs_viterbi_back fs_viterbi_back_portable, fs_viterbi_back_avx2;

/* Encodes 32 bits again, the six before them lowest in `bits`, and compares with 64 octets of
 * symbol pairs. Returns known symbols << 8 | wrong ones. */
typedef uint32_t fs_viterbi_compare(const uint8_t *pairs, uint64_t bits);
fs_viterbi_compare fs_viterbi_compare_portable, fs_viterbi_compare_ssse3, fs_viterbi_compare_avx2,
    fs_viterbi_compare_avx512;

/* The body of fs_viterbi_back, to be compiled for more than one instruction set. */
static inline __attribute__((always_inline)) void fs_trace(fs_traces *traces, size_t nsteps,
                                                           size_t first, size_t nwords)
{
    const uint64_t *d0 = traces->decisions[0], *d1 = traces->decisions[1];
    const uint64_t *d2 = traces->decisions[2], *d3 = traces->decisions[3];
    uint64_t p0 = traces->paths[0], p1 = traces->paths[1];
    uint64_t p2 = traces->paths[2], p3 = traces->paths[3];
    for (size_t w = nwords + 1, t = nsteps; w-- > 0;) {
        for (size_t to = w ? first + 64 * w - 58 : first; t > to;) {
            t--;
            p0 = 2 * p0 + (d0[t] >> (p0 & 63) & 1);
            p1 = 2 * p1 + (d1[t] >> (p1 & 63) & 1);
            p2 = 2 * p2 + (d2[t] >> (p2 & 63) & 1);
            p3 = 2 * p3 + (d3[t] >> (p3 & 63) & 1);
        }
        if (w) {
            traces->words[0][w - 1] = p0, traces->words[1][w - 1] = p1;
            traces->words[2][w - 1] = p2, traces->words[3][w - 1] = p3;
        }
    }
    traces->paths[0] = p0 & 63, traces->paths[1] = p1 & 63;
    traces->paths[2] = p2 & 63, traces->paths[3] = p3 & 63;
}

/* The symbols of a pattern that are sent. */
typedef struct {
    uint8_t period;  /* steps */
    uint8_t nsent;   /* symbols sent of a period */
    uint8_t slot[8]; /* which: 2 * step for C1, 2 * step + 1 for C2 */
} fs_puncture;

extern const fs_puncture fs_puncture_of[FS_CONV_RATES];

static inline int fs_conv_swaps(fs_conv_code code)
{
    return code.order == FS_CONV_DSN || code.order == FS_CONV_DSN_PLAIN;
}

static inline int fs_conv_inverts(fs_conv_code code)
{
    return code.rate == FS_CONV_1_2 && (code.order == FS_CONV_CCSDS || code.order == FS_CONV_DSN);
}

/* Bits 0 to 31 to the even places of 64. */
static inline uint64_t fs_spread(uint64_t x)
{
    x = (x | x << 16) & 0x0000FFFF0000FFFF;
    x = (x | x << 8) & 0x00FF00FF00FF00FF;
    x = (x | x << 4) & 0x0F0F0F0F0F0F0F0F;
    x = (x | x << 2) & 0x3333333333333333;
    return (x | x << 1) & 0x5555555555555555;
}

#endif
