/* Reed-Solomon of CCSDS 131.0-B-5 section 4: parity, and the functions of rs.h.
 *
 * The parity of data D(x) is the remainder of D(x) x^(2E) by the generator. By definition it comes
 * from a shift register, a symbol at a time: the feedback is f = symbol + top of the register, and
 * register = register * x + f * (generator - x^(2E)). The second term depends on f alone, so it is
 * a row of a table of 256; and because change of basis is linear over GF(2), like everything here,
 * it stands in the rows, and the register is in the dual basis, that of the wire; a block in the
 * conventional basis is translated first. Two symbols at a time need one shift for both: the row of
 * the first is then its symbol times x^(2E + 1), reduced. With half the register, E = 8, that gains
 * too little to have a second table.
 *
 * A step waits for the lookup of the step before. Codewords do not wait for one another, so the
 * interleaved ones are taken side by side. */
#include "linear.h"
#include "rs_kernels.h"
#include "tables/rs.h"
#include "words.h"

#define ROW_2(n, i) {FS_LINEAR_1(n##_0_, i), FS_LINEAR_1(n##_1_, i)}
#define ROW_4(n, i)                                                                                \
    {FS_LINEAR_1(n##_0_, i), FS_LINEAR_1(n##_1_, i), FS_LINEAR_1(n##_2_, i), FS_LINEAR_1(n##_3_, i)}
#define ROWS_4(row, n, i) row(n, (i)), row(n, (i) + 1), row(n, (i) + 2), row(n, (i) + 3)
#define ROWS_16(row, n, i)                                                                         \
    ROWS_4(row, n, (i)), ROWS_4(row, n, (i) + 4), ROWS_4(row, n, (i) + 8), ROWS_4(row, n, (i) + 12)
#define ROWS_64(row, n, i)                                                                         \
    ROWS_16(row, n, (i)), ROWS_16(row, n, (i) + 16), ROWS_16(row, n, (i) + 32),                    \
        ROWS_16(row, n, (i) + 48)
#define ROWS_256(row, n)                                                                           \
    {ROWS_64(row, n, 0), ROWS_64(row, n, 64), ROWS_64(row, n, 128), ROWS_64(row, n, 192)}

const uint64_t fs_rs_rows_16[2][256][4] __attribute__((aligned(32))) = {
    ROWS_256(ROW_4, FS_RS_16_0),
    ROWS_256(ROW_4, FS_RS_16_1),
};
static const uint64_t ROWS_8[256][2] = ROWS_256(ROW_2, FS_RS_8_0);

#define ALWAYS static inline __attribute__((always_inline))

/* One symbol into a register of n words, whose top is the least significant octet of r[0]. */
ALWAYS void step_1(const uint64_t *rows, uint64_t *r, const uint8_t *at, unsigned n)
{
    const uint64_t *row = rows + n * (*at ^ (r[0] & 0xFF));
    for (unsigned w = 0; w < n; w++)
        r[w] = (r[w] >> 8 | (w + 1 < n ? r[w + 1] << 56 : 0)) ^ row[w];
}

/* Two symbols, `pitch` octets apart. */
ALWAYS void step_2(const uint64_t *rows, uint64_t *r, const uint8_t *at, size_t pitch, unsigned n)
{
    const uint64_t *second = rows + n * (at[pitch] ^ (r[0] >> 8 & 0xFF));
    const uint64_t *first = rows + n * 256 + n * (at[0] ^ (r[0] & 0xFF));
    for (unsigned w = 0; w < n; w++)
        r[w] = (r[w] >> 16 | (w + 1 < n ? r[w + 1] << 48 : 0)) ^ first[w] ^ second[w];
}

/* Remainders of `lanes` codewords side by side. */
ALWAYS void divide(const uint64_t *rows, const uint8_t *at, size_t count, size_t pitch,
                   uint8_t (*out)[FS_RS_MAX_PARITY], unsigned lanes, unsigned n)
{
    uint64_t r[5][4] = {{0}};
    size_t single = n == 4 ? count & 1 : count;
    for (size_t i = 0; i < single; i++, at += pitch)
        for (unsigned c = 0; c < lanes; c++)
            step_1(rows, r[c], at + c, n);
    for (count -= single; count; count -= 2, at += 2 * pitch)
        for (unsigned c = 0; c < lanes; c++)
            step_2(rows, r[c], at + c, pitch, n);
    for (unsigned c = 0; c < lanes; c++)
        for (unsigned w = 0; w < n; w++)
            fs_store_be(out[c] + 8 * w, __builtin_bswap64(r[c][w]));
}

ALWAYS void divide_lanes(const uint64_t *rows, const uint8_t *at, size_t count, size_t pitch,
                         uint8_t (*out)[FS_RS_MAX_PARITY], unsigned lanes, unsigned n)
{
    const int five = n == 2; /* of E = 16 they would not stay in registers */
    if (lanes == 1)
        divide(rows, at, count, pitch, out, 1, n);
    else if (lanes == 2)
        divide(rows, at, count, pitch, out, 2, n);
    else if (lanes == 5 && five)
        divide(rows, at, count, pitch, out, 5, n);
    else if (lanes == 3 || lanes == 5)
        divide(rows, at, count, pitch, out, 3, n);
    else
        divide(rows, at, count, pitch, out, 4, n);
    if (lanes == 5 && !five)
        divide(rows, at + 3, count, pitch, out + 3, 2, n);
    else if (lanes == 8)
        divide(rows, at + 4, count, pitch, out + 4, 4, n);
}

void fs_rs_remainders_portable(const fs_rs_code *code, const uint8_t *block,
                               uint8_t out[FS_RS_MAX_INTERLEAVE][FS_RS_MAX_PARITY])
{
    size_t count = fs_rs_rows(code);
    if (code->e == 16)
        divide_lanes(fs_rs_rows_16[0][0], block, count, code->interleave, out, code->interleave, 4);
    else
        divide_lanes(ROWS_8[0], block, count, code->interleave, out, code->interleave, 2);
}

const uint8_t *fs_rs_in_dual(const fs_rs_code *code, const uint8_t *octets, size_t nbytes,
                             uint8_t scratch[FS_RS_MAX_BLOCK])
{
    for (size_t i = 0; i < nbytes && !code->dual; i++)
        scratch[i] = RS_DUAL[octets[i]];
    return code->dual ? octets : scratch;
}

void fs_rs_encode_by(fs_rs_remainders_kernel *remainders, const fs_rs_code *code, uint8_t *block)
{
    uint8_t parity[FS_RS_MAX_INTERLEAVE][FS_RS_MAX_PARITY];
    uint8_t scratch[FS_RS_MAX_BLOCK], *to = block + fs_rs_data_nbytes(code);
    remainders(code, fs_rs_in_dual(code, block, fs_rs_data_nbytes(code), scratch), parity);
    for (size_t i = 0; i < fs_rs_parity(code); i++)
        for (unsigned c = 0; c < code->interleave; c++)
            *to++ = code->dual ? parity[c][i] : RS_PLAIN[parity[c][i]];
}

void fs_rs_encode_portable(const fs_rs_code *code, uint8_t *block)
{
    fs_rs_encode_by(fs_rs_remainders_portable, code, block);
}

static fs_rs_encode_kernel *const ENCODE[FS_TIERS] =
    FS_KERNELS(fs_rs_encode_portable, fs_rs_encode_ssse3, fs_rs_encode_ssse3,
               fs_rs_encode_avx512, fs_rs_encode_portable, fs_rs_encode_portable);

static fs_rs_decode_kernel *const DECODE[FS_TIERS] =
    FS_KERNELS(fs_rs_decode_portable, fs_rs_decode_ssse3, fs_rs_decode_avx2,
               fs_rs_decode_avx512, fs_rs_decode_neon, fs_rs_decode_neon);

int64_t fs_rs_check(const fs_rs_code *code)
{
    int interleave = (code->interleave >= 1 && code->interleave <= 5) || code->interleave == 8;
    if ((code->e != 16 && code->e != 8) || code->dual > 1 || code->lenient > 1 || !interleave)
        return FS_E_RANGE;
    return code->fill <= 254 - 2 * code->e ? 0 : FS_E_RANGE;
}

size_t fs_rs_data_nbytes(const fs_rs_code *code)
{
    return code->interleave * fs_rs_rows(code);
}

size_t fs_rs_block_nbytes(const fs_rs_code *code)
{
    return (size_t)code->interleave * (FS_RS_NBYTES - code->fill);
}

/* 0, or why `count` blocks are not what was given. */
static int64_t check_blocks(const fs_rs_code *code, size_t nbytes, size_t stride, size_t count)
{
    if (fs_rs_check(code))
        return FS_E_RANGE;
    size_t block = fs_rs_block_nbytes(code);
    if (count && (nbytes < block || (stride && (nbytes - block) / stride < count - 1)))
        return FS_E_SHORT;
    return count > 1 && stride < block ? FS_E_RANGE : 0;
}

int64_t fs_rs_encode_batch(const fs_rs_code *code, uint8_t *blocks, size_t nbytes, size_t stride,
                           size_t count)
{
    int64_t bad = check_blocks(code, nbytes, stride, count);
    if (bad)
        return bad;
    fs_rs_encode_kernel *encode = ENCODE[fs_tier()];
    for (size_t i = 0; i < count; i++)
        encode(code, blocks + i * stride);
    return (int64_t)count;
}

int64_t fs_rs_encode(const fs_rs_code *code, uint8_t *block, size_t nbytes)
{
    int64_t done = fs_rs_encode_batch(code, block, nbytes, 0, 1);
    return done < 0 ? done : (int64_t)fs_rs_block_nbytes(code);
}

int64_t fs_rs_decode(const fs_rs_code *code, uint8_t *block, size_t nbytes, int16_t *corrected)
{
    int16_t spare[FS_RS_MAX_INTERLEAVE];
    int64_t bad = check_blocks(code, nbytes, 0, 1);
    return bad ? bad : DECODE[fs_tier()](code, block, corrected ? corrected : spare);
}

int64_t fs_rs_decode_batch(const fs_rs_code *code, uint8_t *blocks, size_t nbytes, size_t stride,
                           size_t count, int16_t *corrected)
{
    int64_t bad = check_blocks(code, nbytes, stride, count), good = 0;
    if (bad)
        return bad;
    fs_rs_decode_kernel *decode = DECODE[fs_tier()];
    int16_t spare[FS_RS_MAX_INTERLEAVE];
    for (size_t i = 0; i < count; i++)
        good += decode(code, blocks + i * stride,
                       corrected ? corrected + i * code->interleave : spare) >= 0;
    return good;
}
