/* What this library was built of, so that Python beside another state of the sources notices. */
#ifndef FLATSAT_BUILT_H
#define FLATSAT_BUILT_H

#include <stdint.h>

/* CFFI BEGIN */

/* CRC-32 of the headers that flatsat.h lists, one behind the other; 0: whoever built it did not
 * say. */
uint32_t fs_built_of(void);

/* CFFI END */

#endif
