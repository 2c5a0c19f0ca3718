/* Sync markers (CCSDS 131.0-B-5 section 9, 231.0-B-4 section 5.2): where they stand in a stream of
 * bits, and a synchroniser that cuts the stream into the units behind them.
 *
 * Bit 0 of a buffer is the most significant bit of its first octet. A marker of 8 to 64 bits is
 * given as a number whose least significant bit is the last one sent. A marker is inverted where
 * all of its bits are turned over, as a receiver of phase-modulated signals may do to the whole
 * stream. */
#ifndef FLATSAT_SYNC_H
#define FLATSAT_SYNC_H

#include <stddef.h>
#include <stdint.h>

/* CFFI BEGIN */

/* A place where a marker stands. */
typedef struct {
    uint64_t bit;     /* its first bit */
    uint8_t wrong;    /* bits that differ from the marker, or from its complement if inverted */
    uint8_t inverted;
    uint8_t spare[6];
} fs_marker_hit;

/* Every place in the bits from first_bit up to, not including, end_bit where the whole marker
 * stands with at most max_wrong wrong bits (fewer than half of its bits), in ascending order. Step
 * 1 looks at every bit, step 8 at the first bits of octets. With inverted_too the complement counts
 * as well. Stops when hits is full. *searched is the first place not looked at: the next first_bit,
 * and behind the last hit whenever hits is full. Returns the number of hits, or FS_E_RANGE. */
int64_t fs_marker_search(const uint8_t *buf, size_t nbytes, uint64_t first_bit, uint64_t end_bit,
                         uint64_t marker, uint32_t nbits, uint32_t max_wrong, uint32_t step,
                         uint32_t inverted_too, fs_marker_hit *hits, size_t capacity,
                         uint64_t *searched);

/* The same by definition: a shift register that takes one bit at a time, on every tier. What the
 * search must agree with, and what it is measured against. */
int64_t fs_marker_search_plain(const uint8_t *buf, size_t nbytes, uint64_t first_bit,
                               uint64_t end_bit, uint64_t marker, uint32_t nbits,
                               uint32_t max_wrong, uint32_t step, uint32_t inverted_too,
                               fs_marker_hit *hits, size_t capacity, uint64_t *searched);

/* States of a synchroniser. In SEARCH a marker can stand anywhere. In CHECK one was found, and as
 * many more as `verify` must stand where they are expected. In LOCK more wrong bits are tolerated
 * there. In FLYWHEEL units are cut out although their markers are missing. */
enum { FS_SYNC_SEARCH = 0, FS_SYNC_CHECK = 1, FS_SYNC_LOCK = 2, FS_SYNC_FLYWHEEL = 3 };

/* What a synchroniser is told; fs_sync_reset checks it. */
typedef struct {
    uint64_t marker;
    uint32_t marker_nbits;
    uint32_t unit_nbits;   /* behind each marker */
    uint8_t search_wrong;  /* wrong bits allowed where a marker can stand anywhere, and in CHECK */
    uint8_t lock_wrong;    /* wrong bits allowed in LOCK where one is expected; not fewer */
    uint8_t verify;        /* markers, behind the first one, that make a CHECK a LOCK */
    uint8_t misses;        /* missing markers in a row that a LOCK survives */
    uint8_t slip;          /* bits around the expected place where a marker is looked for too */
    uint8_t inverted;      /* inverted streams are taken */
    uint8_t step;          /* 1, or 8 if markers stand at octets; slip is then a multiple of 8 */
    uint8_t spare;
} fs_sync_settings;

/* A synchroniser. Each bit that it passed is counted once, so at any time
 *     bits taken = unit_bits + marker_bits + bad_bits + skipped_bits. */
typedef struct {
    fs_sync_settings is;
    uint32_t state;
    uint32_t turned;       /* the stream is inverted */
    uint32_t verified;     /* markers found since CHECK began */
    uint32_t missed;       /* markers missing in a row */
    uint32_t holds;        /* a marker stands at the cursor and waits for its unit */
    uint32_t holds_wrong;
    uint32_t open;         /* the last unit may still be judged */
    uint32_t open_before;  /* the state before it */
    uint64_t distance;     /* bits from the cursor to the place of the next marker, ~0: anywhere */
    uint64_t owed;         /* bits at the cursor that the last unit holds as well */
    uint64_t excused;      /* bits at the cursor that belong to a unit judged bad */
    uint64_t units;
    uint64_t inverted_units;
    uint64_t flywheel_units;   /* cut out without a marker */
    uint64_t bad_units;        /* judged bad */
    uint64_t wrong_marker_bits;
    uint64_t missed_markers;   /* expected and not found */
    uint64_t locks;            /* LOCK entered from CHECK or SEARCH */
    uint64_t locks_lost;
    uint64_t checks_failed;
    uint64_t slips;            /* markers found beside the expected place */
    uint64_t turns;            /* changes of polarity from one unit to the next */
    uint64_t unit_bits;
    uint64_t marker_bits;
    uint64_t bad_bits;         /* of units judged bad, unless a later marker claims them */
    uint64_t skipped_bits;
} fs_sync;

/* A unit that was found: its first bit behind the marker is at `bit` of the input. */
typedef struct {
    uint64_t bit;
    uint8_t inverted;
    uint8_t wrong;   /* bits of its marker */
    uint8_t missed;  /* there is no marker: cut out by the flywheel */
    uint8_t state;   /* of the synchroniser when it was found */
    int32_t slip;    /* bits between the expected place and that of the marker */
} fs_unit;

/* Begin in SEARCH with all counters at 0. Returns 0, or FS_E_RANGE for settings that cannot be. */
int64_t fs_sync_reset(fs_sync *sync, const fs_sync_settings *settings);

/* The next whole unit of the nbits bits at `in`, from the cursor *at_bit on, which moves. Returns 1,
 * or 0 when more input is needed: what stands from the cursor on must then be in front of the next
 * input (the cursor may be moved to 0 of it; whole octets may be dropped), and it is less than
 * marker, unit, an octet and three slips. The result does not depend on how a stream was cut. */
int64_t fs_sync_next(fs_sync *sync, const uint8_t *in, uint64_t nbits, uint64_t *at_bit,
                     fs_unit *unit);

/* The frame check's verdict on the unit that fs_sync_next gave last, before anything of it is
 * dropped. A good one makes a LOCK of any state. A bad one is searched for the marker of the next,
 * so that bits lost inside it cost one unit and not two: the cursor moves back. */
void fs_sync_judge(fs_sync *sync, int32_t good, uint64_t *at_bit);

/* Units without a verdict: fs_sync_next and fs_unit_copy until the input is used up or `capacity`
 * units are written, one behind the other, each of unit_nbits / 8 octets (a whole number). pn is
 * exclusive-ored over each; NULL is none. found[i].bit counts from the start of `in`. Returns units
 * written, or FS_E_RANGE. */
int64_t fs_sync_units(fs_sync *sync, const uint8_t *in, uint64_t nbits, uint64_t *at_bit,
                      const uint8_t *pn, uint8_t *out, fs_unit *found, size_t capacity);

/* Copy nbytes octets that begin at any bit of `in`, turned over if inverted, and under the sequence
 * pn of as many octets if that is not NULL. Reads only octets that hold such bits. out may begin at
 * or before the octet of the first bit; they must not overlap otherwise. Returns nbytes. */
int64_t fs_unit_copy(const uint8_t *in, uint64_t bit, int32_t inverted, const uint8_t *pn,
                     uint8_t *out, size_t nbytes);

/* CFFI END */

#endif
