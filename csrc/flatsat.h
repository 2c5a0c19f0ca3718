/* FlatSat codec: every header of the C sources, in the order in which data flows: bits off the air,
 * frames, packets, values; then what the bench adds. This list is also the one that the build
 * gives to cffi, which reads what stands between the two marks in each header: keep that free of
 * directives and inline code.
 *
 * Functions take (pointer, length) pairs, allocate nothing, do no input or output, hold no globals
 * but the tier in use (tier.h), and return a count or a negative FS_E_ code. They touch no octet
 * outside of what they were given, on any tier. */
#ifndef FLATSAT_H
#define FLATSAT_H

#include "error.h"
#include "tier.h"

#include "sync.h"
#include "crc.h"
#include "viterbi.h"
#include "randomiser.h"
#include "rs.h"
#include "cltu.h"
#include "frame.h"
#include "chain.h"
#include "packet.h"
#include "pus.h"
#include "layout.h"
#include "variable.h"
#include "serial.h"

#include "wire.h"
#include "mcap.h"

#endif
