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

#include "built.h"
#include "error.h"
#include "tier.h"

#include "link/sync.h"
#include "coding/crc.h"
#include "coding/viterbi.h"
#include "coding/randomiser.h"
#include "coding/rs.h"
#include "coding/cltu.h"
#include "link/frame.h"
#include "link/chain.h"
#include "packet/packet.h"
#include "packet/pus.h"
#include "columns/layout.h"
#include "columns/variable.h"
#include "stream/sift.h"
#include "serial/serial.h"
#include "serial/hilwire.h"

#include "record/wire.h"
#include "record/mcap.h"
#include "record/pcapng.h"
#include "record/mcap_read.h"

#endif
