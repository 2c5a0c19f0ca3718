/* The two-wire register of shield 1 (ARM DAI 0385 3.7): bits are set at one address, cleared at the next. */
#ifndef WIRES_H
#define WIRES_H

#include "cortexm.h"

#define SBCON_SET REG(0x4002A000) /* read: the lines */
#define SBCON_CLEAR REG(0x4002A004)

static inline void wire_init(void) {}

static inline void wire(uint32_t bit, uint8_t level)
{
    if (level)
        SBCON_SET = bit;
    else
        SBCON_CLEAR = bit;
}

static inline void wire_scl(uint8_t level) { wire(1, level); }
static inline void wire_sda(uint8_t level) { wire(2, level); }
static inline uint8_t wire_scl_is(void) { return SBCON_SET & 1; }
static inline uint8_t wire_sda_is(void) { return SBCON_SET >> 1 & 1; }

#endif
