/* Reed-Solomon decoding, portable: the specification of every tier.
 *
 * A codeword C(x) is a multiple of the generator, so it is zero at the generator's roots. What was
 * received is C(x) + the error, and its remainder by the generator is that of the error alone. With
 * errors of value v_l at the positions p_l (0 was sent first) and locators X_l = beta^(254 - p_l),
 * the syndromes, the values of the remainder at the roots beta^(f + j), f = 128 - E, are
 *
 *     S_j = sum over l of v_l X_l^(f + j),   j = 0 .. 2E - 1.
 *
 * Massey's algorithm finds the shortest recurrence that makes them, which is the locator polynomial
 * L(x) = product of (1 - X_l x); its zeros 1 / X_l = beta^(p_l + 1) are found by trying all 255. With
 * W(x) = S(x) L(x) mod x^(2E), Forney's formula gives v_l = X_l^-f W(1/X_l) / M(1/X_l), where M(x) is
 * the part of L(x) with odd powers, which is x L'(x) here. If L(x) has degree L <= E and L zeros, the
 * word that comes out is a codeword, the only one at a distance of at most E; if not, there is none. */
#include "linear.h"
#include "rs_kernels.h"
#include "tables/rs.h"

/* Of an octet's low half a and of its high half, X[d - 1][0][a] and X[d - 1][1][a]: times beta^d,
 * beta^(2d), .. beta^(8d), the first in the least significant octet. */
#define HIGH(n, i) FS_LINEAR_1(n, (i) << 4)
#define HALVES(n) {{FS_LINEAR_16(n, 0)}, {HIGHS_4(n, 0), HIGHS_4(n, 4), HIGHS_4(n, 8), HIGHS_4(n, 12)}}
#define HIGHS_4(n, i) HIGH(n, i), HIGH(n, i + 1), HIGH(n, i + 2), HIGH(n, i + 3)
static const uint64_t X[FS_RS_MAX_E][2][16] = {
    HALVES(FS_RS_X1_0_),  HALVES(FS_RS_X2_0_),  HALVES(FS_RS_X3_0_),  HALVES(FS_RS_X4_0_),
    HALVES(FS_RS_X5_0_),  HALVES(FS_RS_X6_0_),  HALVES(FS_RS_X7_0_),  HALVES(FS_RS_X8_0_),
    HALVES(FS_RS_X9_0_),  HALVES(FS_RS_X10_0_), HALVES(FS_RS_X11_0_), HALVES(FS_RS_X12_0_),
    HALVES(FS_RS_X13_0_), HALVES(FS_RS_X14_0_), HALVES(FS_RS_X15_0_), HALVES(FS_RS_X16_0_),
};

static inline uint8_t times(uint8_t a, uint8_t b)
{
    return RS_EXP[RS_LOG[a] + RS_LOG[b]];
}

/* a / b, b not zero. */
static inline uint8_t over(uint8_t a, uint8_t b)
{
    return RS_EXP[RS_LOG[a] + 255 - RS_LOG[b]];
}

/* S_j from the remainder, the coefficient of x^(2E - 1) first, by Horner's rule. */
static void syndromes(const uint8_t *remainder, unsigned e, uint8_t *s)
{
    for (unsigned j = 0; j < 2 * e; j++)
        s[j] = 0;
    for (unsigned i = 0; i < 2 * e; i++)
        for (unsigned j = 0; j < 2 * e; j++)
            s[j] = RS_EXP[RS_LOG[s[j]] + 128 - e + j] ^ remainder[i];
}

/* The locator polynomial, by Massey's algorithm (IEEE Trans. Inf. Theory 15, 1969, p. 122). Returns
 * the length of the recurrence, or -1 if it is more than E. */
static int locator(const uint8_t *s, unsigned e, uint8_t *lambda)
{
    uint8_t before[2 * FS_RS_MAX_PARITY] = {1}, kept[FS_RS_MAX_PARITY + 1];
    uint8_t scale = 1;
    unsigned length = 0, shift = 1;
    for (unsigned i = 0; i <= 2 * e; i++)
        lambda[i] = i == 0;
    for (unsigned n = 0; n < 2 * e; n++, shift++) {
        uint8_t wrong = s[n];
        for (unsigned i = 1; i <= length; i++)
            wrong ^= times(lambda[i], s[n - i]);
        if (!wrong)
            continue;
        for (unsigned i = 0; i <= 2 * e; i++)
            kept[i] = lambda[i];
        for (unsigned i = shift; i <= n + 1; i++)
            lambda[i] ^= times(over(wrong, scale), before[i - shift]);
        if (2 * length > n)
            continue;
        length = n + 1 - length;
        for (unsigned i = 0; i <= 2 * e; i++)
            before[i] = kept[i];
        scale = wrong;
        shift = 0;
    }
    return length <= e ? (int)length : -1;
}

/* Positions of the wrong octets: where lambda is zero. Returns how many there are. */
static unsigned positions_of(const uint8_t *lambda, unsigned length, uint8_t *positions)
{
    uint8_t term[FS_RS_MAX_E + 1];
    unsigned count = 0;
    for (unsigned d = 1; d <= length; d++)
        term[d] = lambda[d];
    for (unsigned at = 0; at < 256; at += 8) {
        uint64_t values = lambda[0] * 0x0101010101010101ull;
        for (unsigned d = 1; d <= length; d++) {
            uint64_t eight = X[d - 1][0][term[d] & 15] ^ X[d - 1][1][term[d] >> 4];
            term[d] = (uint8_t)(eight >> 56);
            values ^= eight;
        }
        for (unsigned i = 0; i < 8 && at + i < FS_RS_NBYTES && count < length; i++)
            if (!(values >> 8 * i & 0xFF))
                positions[count++] = (uint8_t)(at + i);
    }
    return count;
}

/* The error at each position, in the conventional basis. */
static void values_of(const uint8_t *s, const uint8_t *lambda, unsigned length, unsigned e,
                      const uint8_t *positions, uint8_t *values)
{
    uint8_t omega[FS_RS_MAX_E];
    for (unsigned n = 0; n < length; n++) {
        omega[n] = s[n];
        for (unsigned i = 1; i <= n; i++)
            omega[n] ^= times(lambda[i], s[n - i]);
    }
    for (unsigned l = 0; l < length; l++) {
        unsigned x = positions[l] + 1u, power = x * (128 - e) % 255; /* logarithms */
        uint8_t above = 0, below = 0;
        for (unsigned i = 0; i < length; i++) {
            above ^= RS_EXP[RS_LOG[omega[i]] + x * i % 255];
            below ^= i & 1 ? 0 : RS_EXP[RS_LOG[lambda[i + 1]] + x * (i + 1) % 255];
        }
        values[l] = times(over(above, below), RS_EXP[power]);
    }
}

static int correct(const fs_rs_code *code, uint8_t *block, unsigned c, uint8_t *remainder)
{
    uint8_t s[FS_RS_MAX_PARITY], lambda[FS_RS_MAX_PARITY + 1];
    uint8_t positions[FS_RS_MAX_E], values[FS_RS_MAX_E];
    for (unsigned i = 0; i < fs_rs_parity(code); i++)
        remainder[i] = RS_PLAIN[remainder[i]];
    syndromes(remainder, code->e, s);
    int length = locator(s, code->e, lambda);
    if (length < 0 || positions_of(lambda, (unsigned)length, positions) != (unsigned)length)
        return FS_RS_FAILED;
    values_of(s, lambda, (unsigned)length, code->e, positions, values);
    if (code->dual)
        for (int i = 0; i < length; i++)
            values[i] = RS_DUAL[values[i]];
    return fs_rs_apply(code, block, c, positions, values, (unsigned)length);
}

int64_t fs_rs_decode_by(fs_rs_remainders_kernel *remainders, fs_rs_correct_kernel *correct_one,
                        const fs_rs_code *code, uint8_t *block, int16_t *corrected)
{
    uint8_t remainder[FS_RS_MAX_INTERLEAVE][FS_RS_MAX_PARITY];
    uint8_t scratch[FS_RS_MAX_BLOCK];
    const uint8_t *octets = fs_rs_in_dual(code, block, fs_rs_block_nbytes(code), scratch);
    const uint8_t *parity = octets + fs_rs_data_nbytes(code);
    remainders(code, octets, remainder);
    for (unsigned c = 0; c < code->interleave; c++) {
        uint8_t any = 0;
        for (unsigned i = 0; i < fs_rs_parity(code); i++)
            any |= remainder[c][i] ^= parity[i * code->interleave + c];
        corrected[c] = any ? (int16_t)correct_one(code, block, c, remainder[c]) : 0;
    }
    return fs_rs_sum(code, corrected);
}

int64_t fs_rs_decode_portable(const fs_rs_code *code, uint8_t *block, int16_t *corrected)
{
    return fs_rs_decode_by(fs_rs_remainders_portable, correct, code, block, corrected);
}
