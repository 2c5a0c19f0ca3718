/* Pseudo-random sequences that are exclusive-ored over frames. */
#ifndef FLATSAT_RANDOMISER_H
#define FLATSAT_RANDOMISER_H

#include <stddef.h>
#include <stdint.h>

/* CFFI BEGIN */

/* Pseudo-random sequences: telemetry with a period of 255 octets, telecommand, and telemetry with
 * a period of 131,071 octets. */
enum { FS_PN_TM = 0, FS_PN_TC = 1, FS_PN_TM17 = 2 };

/* The first octets of a sequence. Returns nbytes, or FS_E_RANGE for an unknown kind. */
int64_t fs_pn_fill(int32_t kind, uint8_t *out, size_t nbytes);

/* Exclusive-or the sequence over `count` units of nbytes each, from its start in every unit; in
 * and out may be the same. A unit has at most 2,048 octets, else FS_E_CAPACITY. Returns octets
 * written. */
int64_t fs_randomise(int32_t kind, const uint8_t *in, uint8_t *out, size_t nbytes, size_t count);

/* CFFI END */

#endif
