/* Correction of a codeword where a processor looks up 16 octets in a table of 16 at once: a template
 * for one instruction set, included by its file. rs_decode.c says what is computed.
 *
 * A constant times an octet is one product for the octet's low half and one for its high half, and
 * there are only 16 of each: two shuffles multiply a register by a constant, whose tables are a row
 * of fs_rs_nibbles. Everything here is such products: syndromes are sums of an octet of the
 * remainder times the powers of all roots; the key equation is solved by the algorithm of Sarwate
 * and Shanbhag, whose step is two of them (see rs_avx512_x86.c); polynomials are evaluated at all
 * positions as sums of a coefficient times powers.
 *
 * The including file defines the type `vec` of VEC_NBYTES octets, the attribute ALWAYS of functions
 * inlined for its instruction set, and
 *     vec_load(p), vec_store(p, a), vec_fill(octet), vec_add(a, b)     exclusive or
 *     vec_table(p)         16 octets for vec_look_up(), in every part of the register
 *     vec_look_up(t, i)    octet i of the table, i < 16
 *     vec_low(a), vec_high(a)      the halves of each octet
 *     vec_next(a, b)       the octets of a but the first, and the first of b
 *     vec_first(a)         the first octet
 *     vec_equal(a, b)      VEC_MASK_STEP bits an octet, the lowest of them set if they are equal */
#include "tables/rs.h"

#include <string.h>

ALWAYS vec vec_times(unsigned factor, vec low, vec high)
{
    const uint8_t *row = (const uint8_t *)fs_rs_nibbles[factor];
    return vec_add(vec_look_up(vec_table(row), low), vec_look_up(vec_table(row + 16), high));
}

/* Values of the remainder at all 32 roots. */
ALWAYS void shuffle_syndromes(const uint8_t *remainder, unsigned nparity, uint8_t *s)
{
    enum { N = 32 / VEC_NBYTES };
    vec sum[N];
    for (unsigned k = 0; k < N; k++)
        sum[k] = vec_fill(0);
    for (unsigned i = 0; i < nparity; i++) {
        const uint8_t *power = (const uint8_t *)(fs_rs_roots + 4 * (nparity - 1 - i));
        unsigned octet = RS_PLAIN[remainder[i]];
        for (unsigned k = 0; k < N; k++) {
            vec a = vec_load(power + k * VEC_NBYTES);
            sum[k] = vec_add(sum[k], vec_times(octet, vec_low(a), vec_high(a)));
        }
    }
    for (unsigned k = 0; k < N; k++)
        vec_store(s + k * VEC_NBYTES, sum[k]);
}

/* Solve the key equation: octets 0 .. E - 1 become W(x), E .. 2E become L(x). n registers hold
 * the 3E + 1 octets. Returns the degree that L(x) must have, or -1 if that is more than E. */
ALWAYS int shuffle_solve(uint8_t *octets, unsigned e, unsigned n)
{
    vec delta[64 / VEC_NBYTES + 1], theta[64 / VEC_NBYTES];
    unsigned gamma = 1;
    int surplus = 0;
    for (unsigned k = 0; k < n; k++)
        delta[k] = theta[k] = vec_load(octets + k * VEC_NBYTES);
    delta[n] = vec_fill(0);
    for (unsigned step = 0; step < 2 * e; step++) {
        unsigned wrong = vec_first(delta[0]), longer = wrong && surplus >= 0;
        for (unsigned k = 0; k < n; k++) {
            vec a = vec_next(delta[k], delta[k + 1]), b = theta[k];
            if (longer)
                theta[k] = a;
            delta[k] = vec_add(vec_times(gamma, vec_low(a), vec_high(a)),
                               vec_times(wrong, vec_low(b), vec_high(b)));
        }
        surplus = longer ? -surplus - 1 : surplus + 1;
        gamma = longer ? wrong : gamma;
    }
    for (unsigned k = 0; k < n; k++)
        vec_store(octets + k * VEC_NBYTES, delta[k]);
    return surplus < 0 ? -1 : (2 * (int)e - surplus) / 2;
}

/* Add l times a power to part, w times it to omega, at two registers of positions. */
ALWAYS void shuffle_add(unsigned l, unsigned w, const uint8_t *power, vec *part, vec *omega)
{
    for (unsigned k = 0; k < 2; k++) {
        vec x = vec_load(power + k * VEC_NBYTES), low = vec_low(x), high = vec_high(x);
        part[k] = vec_add(part[k], vec_times(l, low, high));
        omega[k] = vec_add(omega[k], vec_times(w, low, high));
    }
}

/* Values of L(x), of its odd and of its even powers, and of W(x) at two registers of positions from
 * `at` on. l[degree + 1] and w[degree] are zero. */
ALWAYS void shuffle_evaluate(const uint8_t *w, const uint8_t *l, int degree, unsigned at, vec *odd,
                             vec *even, vec *omega)
{
    const uint8_t *power = (const uint8_t *)fs_rs_powers + at;
    for (unsigned k = 0; k < 2; k++) {
        odd[k] = vec_fill(0);
        even[k] = vec_fill(l[0]);
        omega[k] = vec_fill(w[0]);
    }
    for (int d = 1; d <= degree; d += 2, power += 512) {
        shuffle_add(l[d], w[d], power, odd, omega);
        shuffle_add(l[d + 1], w[d + 1], power + 256, even, omega);
    }
}

/* Positions where L(x) is zero, and the error at each, in the conventional basis. Returns how many
 * there are. */
ALWAYS int shuffle_find(const uint8_t *w, const uint8_t *l, int degree, unsigned e,
                        uint8_t *positions, uint8_t *values)
{
    int count = 0;
    for (unsigned at = 0; at < 256; at += 2 * VEC_NBYTES) {
        uint8_t below[2 * VEC_NBYTES], above[2 * VEC_NBYTES];
        vec odd[2], even[2], omega[2];
        shuffle_evaluate(w, l, degree, at, odd, even, omega);
        for (unsigned k = 0; k < 2; k++) {
            vec_store(below + k * VEC_NBYTES, odd[k]);
            vec_store(above + k * VEC_NBYTES, omega[k]);
            for (uint64_t zeros = vec_equal(odd[k], even[k]); zeros; zeros &= zeros - 1) {
                unsigned i = k * VEC_NBYTES + (unsigned)__builtin_ctzll(zeros) / VEC_MASK_STEP;
                unsigned x = at + i + 1;
                if (x == 256 || count == degree || !below[i]) /* a zero twice is no position */
                    break;
                unsigned quotient = RS_LOG[above[i]] + 255u - RS_LOG[below[i]];
                positions[count] = (uint8_t)(at + i);
                values[count++] = RS_EXP[RS_LOG[RS_EXP[quotient]] + x * (128 + e) % 255];
            }
        }
    }
    return count;
}

ALWAYS int shuffle_correct(const fs_rs_code *code, uint8_t *block, unsigned c,
                           const uint8_t *remainder)
{
    const unsigned e = code->e;
    uint8_t s[32], octets[64] = {0}, w[FS_RS_MAX_E + 1] = {0}, positions[FS_RS_MAX_E], values[FS_RS_MAX_E];
    shuffle_syndromes(remainder, 2 * e, s);
    memcpy(octets, s + 16 - e, 2 * e);
    octets[3 * e] = 1;
    int degree = e == 16 ? shuffle_solve(octets, 16, 64 / VEC_NBYTES)
                         : shuffle_solve(octets, 8, 32 / VEC_NBYTES);
    memcpy(w, octets, e);
    if (degree < 0 || shuffle_find(w, octets + e, degree, e, positions, values) != degree)
        return FS_RS_FAILED;
    if (code->dual)
        for (int i = 0; i < degree; i++)
            values[i] = RS_DUAL[values[i]];
    return fs_rs_apply(code, block, c, positions, values, (unsigned)degree);
}
