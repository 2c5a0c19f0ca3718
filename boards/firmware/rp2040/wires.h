/* GP5 and GP4 as open-drain lines: the output is zero for ever, and low while it is enabled. */
#ifndef WIRES_H
#define WIRES_H

#include "rp2040.h"

enum { SDA_PIN = 4, SCL_PIN = 5 };

static inline void wire(uint8_t pin, uint8_t level)
{
    if (level)
        SIO_OE_CLEAR = 1u << pin;
    else
        SIO_OE_SET = 1u << pin;
}

static inline void wire_init(void)
{
    SIO_OUT_CLEAR = 1u << SDA_PIN | 1u << SCL_PIN;
    pin_function(SDA_PIN, PIN_SIO, PAD_PULL_UP);
    pin_function(SCL_PIN, PIN_SIO, PAD_PULL_UP);
}

static inline void wire_scl(uint8_t level) { wire(SCL_PIN, level); }
static inline void wire_sda(uint8_t level) { wire(SDA_PIN, level); }
static inline uint8_t wire_scl_is(void) { return SIO_IN >> SCL_PIN & 1; }
static inline uint8_t wire_sda_is(void) { return SIO_IN >> SDA_PIN & 1; }

#endif
