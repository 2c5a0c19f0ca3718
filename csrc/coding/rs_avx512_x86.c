/* Reed-Solomon with AVX-512 and GFNI: rs_decode.c says what is computed, this how.
 *
 * Values at the roots. Horner's rule is v = v * root + symbol, and GF2P8AFFINEQB multiplies the
 * octets of a quadword by one constant, a matrix of bits. So a register holds eight roots, one a
 * quadword, and a quadword of the block, as it lies there, is broadcast to all of them. Its octets
 * belong to several codewords and rows of the block. They do not get mixed if the block is taken in
 * groups of whole quadwords that are whole rows too, each quadword with accumulators of its own:
 * v = v * root^(rows of a group) + octets. At the end each octet is weighed by its row in the group,
 * and those of a codeword are added. Nothing is deinterleaved, and any number of rows goes, because
 * zeros in front of the first group change nothing.
 *
 * The weights are also the place to change fields: the matrices are in the basis of the wire, and
 * behind the weights everything is in the field of AES, where one instruction multiplies variables
 * and one inverts.
 *
 * The key equation is solved without inversion or sums over a register, by the reformulated
 * algorithm of Sarwate and Shanbhag (IEEE Trans. VLSI Systems 9, 2001, p. 641), which carries
 * discrepancies along with the locator polynomial: its step is two products of a register by a
 * variable. A step waits for the one before, so the codewords of a block are taken side by side.
 * It leaves the high part of S(x) L(x), W(x) = the coefficients from x^(2E) on, and at a zero 1/X
 * of L(x) the low part is X^-2E times that. Zeros, derivative and W(x) are evaluated at all 256
 * positions at once. */
#include "rs_kernels.h"

#if defined(FS_X86)

#include "tables/rs_gfni.h"
#include <immintrin.h>
#include <string.h>

#define ALWAYS static inline __attribute__((always_inline)) FS_TARGET_AVX512
#define APART static __attribute__((noinline)) FS_TARGET_AVX512
#define UNROLL _Pragma("GCC unroll 8")

/* How blocks of an interleaving are taken, see make_rs.py: quadwords of a group, then where in the
 * tables its matrices, weights and shuffles begin. */
typedef struct {
    unsigned interleave, quads, power, weights, gather;
} grouping;

#define BY_1 ((grouping){1, 4, 3, 0, 0})
#define BY_2 ((grouping){2, 4, 2, 4, 8})
#define BY_3 ((grouping){3, 3, 1, 8, 12})
#define BY_4 ((grouping){4, 4, 1, 11, 21})
#define BY_5 ((grouping){5, 5, 1, 15, 23})
#define BY_8 ((grouping){8, 4, 0, 20, 33})

ALWAYS __m512i add(__m512i a, __m512i b)
{
    return _mm512_xor_si512(a, b);
}

ALWAYS __m512i times(__m512i a, __m512i b)
{
    return _mm512_gf2p8mul_epi8(a, b);
}

ALWAYS __m512i by_matrix(__m512i a, uint64_t matrix)
{
    return _mm512_gf2p8affine_epi64_epi8(a, _mm512_set1_epi64((int64_t)matrix), 0);
}

ALWAYS __m512i broadcast(const uint8_t *quad)
{
    int64_t word;
    memcpy(&word, quad, 8);
    return _mm512_set1_epi64(word);
}

ALWAYS __m512i lanes(void)
{
    return _mm512_set_epi64(0x3f3e3d3c3b3a3938, 0x3736353433323130, 0x2f2e2d2c2b2a2928,
                            0x2726252423222120, 0x1f1e1d1c1b1a1918, 0x1716151413121110,
                            0x0f0e0d0c0b0a0908, 0x0706050403020100);
}

/* The quadwords of a first group of nbytes octets, with zeros in front. */
ALWAYS void first_group(const uint8_t *at, size_t nbytes, unsigned quads, __m512i (*acc)[4],
                        unsigned n)
{
    unsigned zeros = 8 * quads - (unsigned)nbytes;
    __mmask64 mask = ((__mmask64)1 << nbytes) - 1;
    __m512i from = _mm512_sub_epi8(lanes(), _mm512_set1_epi8((char)zeros));
    __m512i octets = _mm512_maskz_loadu_epi8(mask, at);
    octets = _mm512_maskz_permutexvar_epi8(mask << zeros, from, octets);
    UNROLL for (unsigned u = 0; u < quads; u++)
        UNROLL for (unsigned k = 0; k < n; k++)
            acc[u][k] = _mm512_permutexvar_epi64(_mm512_set1_epi64(u), octets);
}

/* Weigh the octets of the accumulators at 8 roots and add those of each codeword. */
ALWAYS __m512i weigh(__m512i (*acc)[4], unsigned k, unsigned root, uint64_t to_aes, const grouping by)
{
    const unsigned shuffles = (8 + by.interleave - 1) / by.interleave, same = 8 % by.interleave == 0;
    const uint64_t *shuffle = RS_GATHER + 2 * by.gather;
    __m512i sum = _mm512_setzero_si512(), total = sum;
    UNROLL for (unsigned u = 0; u < by.quads; u++) {
        const uint64_t *weight = RS_WEIGHTS + 32 * (by.weights + u) + root;
        sum = add(sum, times(by_matrix(acc[u][k], to_aes), _mm512_load_si512(weight)));
        if (same && u + 1 < by.quads)
            continue;
        UNROLL for (unsigned i = 0; i < shuffles; i++, shuffle += 2) {
            __m512i to = _mm512_broadcast_i64x2(_mm_load_si128((const __m128i *)shuffle));
            total = add(total, _mm512_shuffle_epi8(sum, to));
        }
        sum = _mm512_setzero_si512();
    }
    return total;
}

/* Values of `rows` rows at 8 n roots, in the field of AES: quadword j of value[k] is root 8 k + j,
 * octet c of it is codeword c. */
ALWAYS void values_by(const uint8_t *at, size_t rows, unsigned dual, unsigned n, __m512i *value,
                      const grouping by)
{
    const unsigned per_group = 8 * by.quads / by.interleave, first = n == 4 ? 0 : 8;
    size_t head = (rows - 1) % per_group + 1;
    __m512i acc[5][4], matrix[4];
    first_group(at, head * by.interleave, by.quads, acc, n);
    at += head * by.interleave;
    UNROLL for (unsigned k = 0; k < n; k++)
        matrix[k] = _mm512_load_si512(RS_HORNER + 128 * dual + 32 * by.power + first + 8 * k);
    for (rows -= head; rows; rows -= per_group, at += 8 * by.quads)
        UNROLL for (unsigned u = 0; u < by.quads; u++) {
            __m512i quad = broadcast(at + 8 * u);
            UNROLL for (unsigned k = 0; k < n; k++)
                acc[u][k] = add(_mm512_gf2p8affine_epi64_epi8(acc[u][k], matrix[k], 0), quad);
        }
    UNROLL for (unsigned k = 0; k < n; k++)
        value[k] = weigh(acc, k, first + 8 * k, RS_TO_AES[dual], by);
}

ALWAYS void values_at(const fs_rs_code *code, const uint8_t *at, size_t rows, unsigned n,
                      __m512i *value)
{
    if (code->interleave == 1)
        values_by(at, rows, code->dual, n, value, BY_1);
    else if (code->interleave == 2)
        values_by(at, rows, code->dual, n, value, BY_2);
    else if (code->interleave == 3)
        values_by(at, rows, code->dual, n, value, BY_3);
    else if (code->interleave == 4)
        values_by(at, rows, code->dual, n, value, BY_4);
    else if (code->interleave == 5)
        values_by(at, rows, code->dual, n, value, BY_5);
    else
        values_by(at, rows, code->dual, n, value, BY_8);
}

APART void values_16(const fs_rs_code *code, const uint8_t *at, size_t rows, __m512i *value)
{
    values_at(code, at, rows, 4, value);
}

APART void values_8(const fs_rs_code *code, const uint8_t *at, size_t rows, __m512i *value)
{
    values_at(code, at, rows, 2, value);
}

ALWAYS void values(const fs_rs_code *code, const uint8_t *at, size_t rows, unsigned n,
                   __m512i *value)
{
    (n == 4 ? values_16 : values_8)(code, at, rows, value);
}

/* Parity is linear in the values of the data at the roots. */
ALWAYS void encode(const fs_rs_code *code, uint8_t *block, unsigned n, const uint64_t *table)
{
    __m512i value[4], parity[4];
    uint64_t one[32] LINE;
    values(code, block, fs_rs_rows(code), n, value);
    UNROLL for (unsigned k = 0; k < n; k++) {
        _mm512_store_si512(one + 8 * k, value[k]);
        parity[k] = _mm512_setzero_si512();
    }
    for (unsigned i = 0; i < 8 * n; i++, table += 8 * n) {
        __m512i root = _mm512_set1_epi64((int64_t)one[i]);
        UNROLL for (unsigned k = 0; k < n; k++)
            parity[k] = add(parity[k], times(root, _mm512_load_si512(table + 8 * k)));
    }
    uint8_t *to = block + fs_rs_data_nbytes(code);
    unsigned nbytes = 8u * code->interleave;
    __mmask64 keep = 0x0101010101010101ull * ((1u << code->interleave) - 1);
    __mmask64 all = nbytes == 64 ? ~0ull : ((__mmask64)1 << nbytes) - 1;
    UNROLL for (unsigned k = 0; k < n; k++, to += nbytes) {
        __m512i wire = by_matrix(parity[k], RS_FROM_AES[code->dual]);
        _mm512_mask_storeu_epi8(to, all, _mm512_maskz_compress_epi8(keep, wire));
    }
}

FS_TARGET_AVX512 void fs_rs_encode_avx512(const fs_rs_code *code, uint8_t *block)
{
    if (code->e == 16)
        encode(code, block, 4, RS_PARITY_16);
    else
        encode(code, block, 2, RS_PARITY_8);
}

/* One codeword on its way: its syndromes and then, solved, L(x) from octet E on; W(x). */
typedef struct {
    uint8_t octet[64] LINE, w[64] LINE;
    int errors; /* the degree that L(x) must have, or negative if that is more than E */
} key;

/* Solve the key equation for n codewords; solved[i].octet holds the syndromes. */
ALWAYS void solve_n(key *solved, unsigned e, unsigned n)
{
    const __m512i next = _mm512_add_epi8(lanes(), _mm512_set1_epi8(1)), one = _mm512_set1_epi8(1);
    __m512i delta[5], theta[5], gamma[5], surplus[5]; /* surplus: steps - 2 * length */
    UNROLL for (unsigned i = 0; i < n; i++) {
        delta[i] = theta[i] = _mm512_load_si512(solved[i].octet);
        gamma[i] = one;
        surplus[i] = _mm512_setzero_si512();
    }
    for (unsigned step = 0; step < 2 * e; step++)
        UNROLL for (unsigned i = 0; i < n; i++) {
            __m512i wrong = _mm512_broadcastb_epi8(_mm512_castsi512_si128(delta[i]));
            __m512i shifted = _mm512_maskz_permutexvar_epi8(~0ull >> 1, next, delta[i]);
            __mmask64 longer = _mm512_movepi8_mask(surplus[i]);
            longer = _mm512_mask_test_epi8_mask(~longer, wrong, wrong);
            delta[i] = add(times(gamma[i], shifted), times(wrong, theta[i]));
            theta[i] = _mm512_mask_mov_epi8(theta[i], longer, shifted);
            gamma[i] = _mm512_mask_mov_epi8(gamma[i], longer, wrong);
            __m512i more = _mm512_add_epi8(surplus[i], one);
            surplus[i] = _mm512_mask_sub_epi8(more, longer, _mm512_setzero_si512(), more);
        }
    UNROLL for (unsigned i = 0; i < n; i++) {
        int over = (int8_t)_mm_cvtsi128_si32(_mm512_castsi512_si128(surplus[i]));
        _mm512_store_si512(solved[i].octet, delta[i]);
        _mm512_store_si512(solved[i].w, _mm512_maskz_mov_epi8((1u << e) - 1, delta[i]));
        solved[i].errors = over < 0 ? -1 : (2 * (int)e - over) / 2;
    }
}

APART void solve(key *solved, unsigned e, unsigned n)
{
    for (; n > 5; n -= 4, solved += 4)
        solve_n(solved, e, 4);
    if (n == 1)
        solve_n(solved, e, 1);
    else if (n == 2)
        solve_n(solved, e, 2);
    else if (n == 3)
        solve_n(solved, e, 3);
    else if (n == 4)
        solve_n(solved, e, 4);
    else
        solve_n(solved, e, 5);
}

/* Where codeword `solved` is wrong, a bit a position, and by what, in the basis of the wire. Returns
 * how many positions there are. */
ALWAYS int evaluate(const key *solved, unsigned e, unsigned dual, uint64_t *where, uint8_t *what)
{
    const uint8_t *w = solved->w, *l = solved->octet + e;
    const uint64_t *power = RS_POWERS, *factor = RS_FACTORS + (e == 16 ? 0 : 32);
    __m512i odd[4], even[4], omega[4];
    UNROLL for (unsigned k = 0; k < 4; k++) {
        odd[k] = _mm512_setzero_si512();
        even[k] = _mm512_set1_epi8((char)l[0]);
        omega[k] = _mm512_set1_epi8((char)w[0]);
    }
    for (int d = 1; d <= solved->errors; d += 2, power += 64) {
        __m512i l1 = _mm512_set1_epi8((char)l[d]), w1 = _mm512_set1_epi8((char)w[d]);
        __m512i l2 = _mm512_set1_epi8((char)l[d + 1]), w2 = _mm512_set1_epi8((char)w[d + 1]);
        UNROLL for (unsigned k = 0; k < 4; k++) {
            __m512i x1 = _mm512_load_si512(power + 8 * k), x2 = _mm512_load_si512(power + 32 + 8 * k);
            odd[k] = add(odd[k], times(l1, x1));
            even[k] = add(even[k], times(l2, x2));
            omega[k] = add(omega[k], add(times(w1, x1), times(w2, x2)));
        }
    }
    int count = 0;
    UNROLL for (unsigned k = 0; k < 4; k++) {
        __m512i identity = _mm512_set1_epi64(0x0102040810204080);
        __m512i below = _mm512_gf2p8affineinv_epi64_epi8(odd[k], identity, 0);
        __m512i error = times(times(omega[k], below), _mm512_load_si512(factor + 8 * k));
        where[k] = _mm512_cmpeq_epi8_mask(odd[k], even[k]) & (k == 3 ? ~0ull >> 1 : ~0ull);
        _mm512_store_si512(what + 64 * k, by_matrix(error, RS_FROM_AES[dual]));
        count += (int)_mm_popcnt_u64(where[k]);
    }
    return count;
}

/* Correct codeword c. Returns what to write into corrected[]. */
APART int correct(const fs_rs_code *code, uint8_t *block, unsigned c, const key *solved)
{
    uint64_t where[4];
    uint8_t what[256] LINE, positions[FS_RS_MAX_E], wrong[FS_RS_MAX_E];
    unsigned count = 0;
    if (solved->errors < 0 || evaluate(solved, code->e, code->dual, where, what) != solved->errors)
        return FS_RS_FAILED;
    for (unsigned k = 0; k < 4; k++)
        for (; where[k]; where[k] &= where[k] - 1) {
            unsigned at = 64 * k + (unsigned)__builtin_ctzll(where[k]);
            positions[count] = (uint8_t)at;
            wrong[count++] = what[at];
        }
    return fs_rs_apply(code, block, c, positions, wrong, count);
}

/* Gather the syndromes of each codeword that is not clean, a bit of `which` each. */
ALWAYS void collect(unsigned which, const __m512i *turned, unsigned n, key *keys)
{
    uint64_t one[32] LINE;
    UNROLL for (unsigned k = 0; k < n; k++)
        _mm512_store_si512(one + 8 * k, turned[k]);
    for (; which; which &= which - 1, keys++) {
        unsigned c = (unsigned)__builtin_ctz(which);
        __m512i s = _mm512_set_epi64(0, n == 4, 0, 0, n == 4 ? (int64_t)one[24 + c] : n == 2,
                                     n == 4 ? (int64_t)one[16 + c] : 0, (int64_t)one[8 + c],
                                     (int64_t)one[c]);
        _mm512_store_si512(keys->octet, s);
    }
}

ALWAYS int64_t decode(const fs_rs_code *code, uint8_t *block, int16_t *corrected, unsigned n)
{
    const uint64_t step = 0x0101010101010101, eights = 0x3830282018100800;
    const __m512i turn = _mm512_set_epi64(eights + 7 * step, eights + 6 * step, eights + 5 * step,
                                          eights + 4 * step, eights + 3 * step, eights + 2 * step,
                                          eights + step, eights);
    __m512i value[4], turned[4], any = _mm512_setzero_si512();
    if (n == 4 && code->interleave == 5 && !code->fill &&
        fs_rs_clean_avx512(block, RS_TO_AES[code->dual])) {
        memset(corrected, 0, 5 * sizeof *corrected);
        return 0;
    }
    values(code, block, FS_RS_NBYTES - code->fill, n, value);
    for (unsigned c = 0; c < code->interleave; c++)
        corrected[c] = 0;
    UNROLL for (unsigned k = 0; k < n; k++)
        any = _mm512_or_si512(any, value[k]);
    if (!_mm512_test_epi64_mask(any, any))
        return 0;
    any = _mm512_setzero_si512();
    UNROLL for (unsigned k = 0; k < n; k++) {
        turned[k] = _mm512_permutexvar_epi8(turn, value[k]);
        any = _mm512_or_si512(any, turned[k]);
    }
    key keys[FS_RS_MAX_INTERLEAVE];
    unsigned which = _mm512_test_epi64_mask(any, any);
    collect(which, turned, n, keys);
    solve(keys, code->e, (unsigned)__builtin_popcount(which));
    for (const key *at = keys; which; which &= which - 1, at++) {
        unsigned c = (unsigned)__builtin_ctz(which);
        corrected[c] = (int16_t)correct(code, block, c, at);
    }
    return fs_rs_sum(code, corrected);
}

FS_TARGET_AVX512 int64_t fs_rs_decode_avx512(const fs_rs_code *code, uint8_t *block,
                                             int16_t *corrected)
{
    return code->e == 16 ? decode(code, block, corrected, 4) : decode(code, block, corrected, 2);
}

#endif
