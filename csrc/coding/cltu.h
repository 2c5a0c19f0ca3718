/* Telecommand channel coding (CCSDS 231.0-B-4): BCH(63,56) codeblocks in link units. */
#ifndef FLATSAT_CLTU_H
#define FLATSAT_CLTU_H

#include <stddef.h>
#include <stdint.h>

/* CFFI BEGIN */

/* Octets of the CLTU around nbytes of frame. */
size_t fs_cltu_nbytes(size_t nbytes);

/* Start sequence, codeblocks, tail. Returns octets written, FS_E_SHORT for no input, or
 * FS_E_CAPACITY. */
int64_t fs_cltu_encode(const uint8_t *in, size_t nbytes, uint8_t *out, size_t capacity);

/* `count` codeblocks of 8 octets around as many times 7 octets. Returns count. */
int64_t fs_bch_encode(const uint8_t *info, size_t count, uint8_t *blocks);

/* The syndrome of each of `count` codeblocks, 0 where nothing is wrong. Returns how many are 0. */
int64_t fs_bch_check(const uint8_t *blocks, size_t count, uint8_t *syndromes);

/* Correct at most one wrong bit of a codeblock of 8 octets in place. Returns the number of bits
 * corrected, or FS_E_CHECK. */
int64_t fs_bch_correct(uint8_t *block);

/* A receiver of CLTUs; all zero at the start, but for the choice. */
typedef struct {
    uint8_t data[4096]; /* octets of the unit, fill included; valid while ready */
    uint32_t nbytes;
    uint32_t ready; /* a unit has ended */

    /* Choice: 0 looks for the start sequence at octet boundaries; 1 at every bit, inverted too, for
     * receivers that hand on bits as they come. It then finds more in noise. */
    uint32_t any_bit;

    /* State. */
    uint32_t inside;
    uint32_t nheld;
    uint8_t held[8];
    uint32_t window;   /* the last octets in, and how many bits of them are still to be looked at */
    uint32_t fresh;
    uint32_t bit;      /* of an octet in, at which an octet of the unit ends: 1 to 8 */
    uint32_t inverted; /* 0xFF if the unit is */

    uint64_t units;
    uint64_t empty_units; /* a start sequence with no codeblock behind it */
    uint64_t overlong_units;
    uint64_t tails;               /* units that ended with the tail sequence, unhurt */
    uint64_t rejected_codeblocks; /* units that ended with any other codeblock beyond correction */
    uint64_t codeblocks;
    uint64_t corrected_bits;
    uint64_t start_errors; /* start sequences taken with one wrong bit */
    uint64_t slipped_starts;  /* start sequences taken off an octet boundary */
    uint64_t inverted_starts; /* start sequences taken inverted */
    uint64_t skipped_octets;
} fs_cltu_receiver;

/* Take octets until a unit ends (rx->ready is then 1) or the input does. Returns octets taken. */
int64_t fs_cltu_feed(fs_cltu_receiver *rx, const uint8_t *in, size_t nbytes);

/* CFFI END */

#endif
