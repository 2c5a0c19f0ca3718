/* The convolutional code of CCSDS 131.0-B-5 section 3: constraint length 7, rate 1/2, and the same
 * punctured to 2/3, 3/4, 5/6 and 7/8. Encoder and soft-decision Viterbi decoder, both streams that
 * may be cut anywhere.
 *
 * One step takes one bit and gives two symbols, C1 of G1 = 1111001 and C2 of G2 = 1011011, the
 * newest bit under the first coefficient. At rate 1/2 they go out as C1, C2, with C2 inverted
 * (3.3.1). The punctured codes leave symbols out and invert none (3.4; the encoder of CCSDS
 * 130.1-G figure 4-2 has no inverter), by these patterns, one column a step, 1 for sent:
 *
 *     rate    2/3    3/4     5/6       7/8
 *     C1      10     101     10101     1000101
 *     C2      11     110     11010     1111010
 *
 * Symbols are octets in offset binary: 0 is the surest zero, 255 the surest one, 128 knows nothing
 * (an erasure). 0 counts as 1 does, so that zero and one weigh the same. */
#ifndef FLATSAT_VITERBI_H
#define FLATSAT_VITERBI_H

#include <stddef.h>
#include <stdint.h>

/* CFFI BEGIN */

enum { FS_CONV_1_2, FS_CONV_2_3, FS_CONV_3_4, FS_CONV_5_6, FS_CONV_7_8, FS_CONV_RATES };

/* Order and sign in which the symbols of a step go out. The last two are met in orbit: no
 * inversion at rate 1/2 either. */
enum {
    FS_CONV_CCSDS,       /* C1, C2 inverted */
    FS_CONV_DSN,         /* C2 inverted, C1 */
    FS_CONV_CCSDS_PLAIN, /* C1, C2 */
    FS_CONV_DSN_PLAIN,   /* C2, C1 */
    FS_CONV_ORDERS,
};

typedef struct {
    uint8_t rate;  /* FS_CONV_1_2 ... */
    uint8_t order; /* FS_CONV_CCSDS ... */
} fs_conv_code;

/* 0, or FS_E_RANGE. */
int64_t fs_conv_check(const fs_conv_code *code);

typedef struct {
    fs_conv_code code;
    uint8_t state;    /* the last six bits, the newest lowest */
    uint8_t step;     /* steps into the puncturing pattern */
    uint8_t npending; /* symbols that wait for their octet to fill, 0 to 7 */
    uint8_t pending;  /* those, the first highest of npending bits */
    uint64_t bits;    /* in */
    uint64_t symbols; /* out, with those that wait */
} fs_conv_encoder;

/* Begins a stream from the zero state. Returns 0, or FS_E_RANGE. */
int64_t fs_conv_begin(fs_conv_encoder *e, const fs_conv_code *code);

/* Most octets that encoding nbits more, or flushing, can give. */
size_t fs_conv_nbytes(const fs_conv_encoder *e, size_t nbits);

/* Encodes nbits bits, the first one highest in in[0]. Symbols are packed the same way; whole
 * octets are written, the rest waits for the next call. Returns octets written, or FS_E_CAPACITY
 * if fs_conv_nbytes do not fit, and then nothing was taken. */
int64_t fs_conv_encode(fs_conv_encoder *e, const uint8_t *in, size_t nbits, uint8_t *out,
                       size_t capacity);

/* Writes the symbols that wait, zeros behind them, as a last octet: returns 1 or 0, or
 * FS_E_CAPACITY. The register and the pattern go on. */
int64_t fs_conv_flush(fs_conv_encoder *e, uint8_t *out, size_t capacity);

/* The decoder cuts the stream into segments on a fixed grid. For one segment it starts `depth`
 * steps early, every state alike, so that the metrics have settled when the segment begins; it
 * goes on `depth` steps behind it and traces back from the best state there. So segments do not
 * wait for one another and are decoded side by side, and the result depends neither on the chunks
 * fed nor on the tier. A bit comes out at most segment + depth steps after its symbols.
 *
 * Metrics are exact sums of symbols: no quantisation, no saturation. Of two equal paths the one
 * whose older bit is 0 wins; of equal last states the one whose latest bits, newest first, make
 * the smallest number. */
enum {
    FS_VITERBI_LANES = 4,        /* segments side by side */
    FS_VITERBI_SEGMENT = 2048,   /* longest segment in bits */
    FS_VITERBI_DEPTH = 512,      /* deepest overlap in steps */
    FS_VITERBI_PAIRS = 18496,    /* octets, 2 a step: DEPTH + LANES * SEGMENT + DEPTH + 32 */
    FS_VITERBI_DECISIONS = 3200, /* words: DEPTH + SEGMENT + DEPTH steps, 70 more at the end */
};

typedef struct {
    fs_conv_code code;
    uint16_t depth;   /* multiple of 16, 16 to 512; 0 takes the default of the rate: 96 to 192 */
    uint16_t segment; /* multiple of 64, 64 to 2048; 0 takes 2048. Shorter: less delay, slower */
    int16_t start;    /* state before the first bit: its last six, the newest lowest; -1 unknown */
} fs_viterbi_setup;

typedef struct {
    fs_viterbi_setup setup; /* with defaults filled in */
    /* counters: they go on over flushes */
    uint64_t symbols;       /* taken in, those of no unfinished segment only in the next three */
    uint64_t bits;          /* given out */
    uint64_t steps_checked; /* of bits given out, encoded again and compared */
    uint64_t known_symbols; /* of those steps: symbols received that were no erasures */
    uint64_t wrong_symbols; /* of those: symbols whose sign the decoder overruled */
    /* state */
    uint64_t base; /* step of the stream at pairs[0] */
    uint64_t next; /* step at which the next segment begins */
    uint32_t period; /* place in pairs, in steps, of the puncturing period that is being filled */
    uint8_t sent;    /* symbols into that period */
    uint8_t pairs[FS_VITERBI_PAIRS];
    uint64_t decisions[FS_VITERBI_LANES][FS_VITERBI_DECISIONS];
} fs_viterbi;

/* Begins a stream; zero counters. Returns 0, or FS_E_RANGE. The struct takes about 120 KB. */
int64_t fs_viterbi_begin(fs_viterbi *v, const fs_viterbi_setup *setup);

/* Most octets that feeding nsymbols more, or 0 and flushing, can give. */
size_t fs_viterbi_nbytes(const fs_viterbi *v, size_t nsymbols);

/* Takes all symbols. Returns octets of decoded bits written, the first bit highest, always whole
 * segments; or FS_E_CAPACITY if fs_viterbi_nbytes do not fit, and then nothing was taken. */
int64_t fs_viterbi_feed(fs_viterbi *v, const uint8_t *symbols, size_t nsymbols, uint8_t *out,
                        size_t capacity);

/* The same for hard symbols, packed eight an octet, the first one highest. */
int64_t fs_viterbi_feed_hard(fs_viterbi *v, const uint8_t *bits, size_t nsymbols, uint8_t *out,
                             size_t capacity);

/* Ends the stream: decodes what waits, zeros behind the last bit, and begins a new stream. A step
 * of which only one symbol came counts, its other symbol as an erasure. end: the state behind the
 * last bit as in setup, -1 unknown; an encoder fed six zeros ends in state 0. Returns octets
 * written, FS_E_RANGE or FS_E_CAPACITY; v->bits tells how many bits there were. */
int64_t fs_viterbi_flush(fs_viterbi *v, int32_t end, uint8_t *out, size_t capacity);

/* CFFI END */

#endif
