/* Pseudo-random sequences that are exclusive-ored over frames, so that a link has bit transitions:
 * CCSDS 131.0-B-5 section 10 (telemetry), CCSDS 231.0-B-4 section 6 (telecommand). Applying a
 * sequence twice gives the octets back.
 *
 * Few units: fs_randomise. A stream of units: keep the sequence once, by fs_pn_fill, and call
 * fs_pn_apply, which takes as long as a copy. */
#ifndef FLATSAT_RANDOMISER_H
#define FLATSAT_RANDOMISER_H

#include <stddef.h>
#include <stdint.h>

/* CFFI BEGIN */

/* Pseudo-random sequences: telemetry with a period of 255 octets, telecommand (255 octets), and
 * telemetry with a period of 131,071 octets. */
enum { FS_PN_TM = 0, FS_PN_TC = 1, FS_PN_TM17 = 2 };

/* The first octets of a sequence, as many as wanted. Returns nbytes, or FS_E_RANGE for an unknown
 * kind. */
int64_t fs_pn_fill(int32_t kind, uint8_t *out, size_t nbytes);

/* Exclusive-or pn, nbytes of it, over each of `count` units of nbytes. Units begin every in_stride
 * and out_stride octets; octets between units are left alone. in and out may be the same with the
 * same stride, and must not overlap in another way. Returns octets written, or FS_E_RANGE if a
 * stride is shorter than a unit. */
int64_t fs_pn_apply(const uint8_t *pn, const uint8_t *in, size_t in_stride, uint8_t *out,
                    size_t out_stride, size_t nbytes, size_t count);

/* Exclusive-or a sequence over `count` units of nbytes each, one behind the other, from its start
 * in every unit; in and out may be the same. Units have any length. Returns octets written, or
 * FS_E_RANGE for an unknown kind. */
int64_t fs_randomise(int32_t kind, const uint8_t *in, uint8_t *out, size_t nbytes, size_t count);

/* CFFI END */

#endif
