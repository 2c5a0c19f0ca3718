/* P0.00 and P0.30 (pins 19 and 20 of the edge, the bus of the sensors on board): the output is zero
 * for ever, and a line is low while its pin is an output. */
#ifndef WIRES_H
#define WIRES_H

#include "cortexm.h"

enum { SCL_PIN = 0, SDA_PIN = 30, CNF_PULL_UP = 3 << 2 };
#define GPIO_OUTSET REG(0x50000508)
#define GPIO_OUTCLR REG(0x5000050C)
#define GPIO_IN REG(0x50000510)
#define GPIO_CNF(pin) REG(0x50000700 + (pin) * 4u)

static inline void wire(uint8_t pin, uint8_t level) { GPIO_CNF(pin) = CNF_PULL_UP | !level; }

static inline void wire_init(void) { GPIO_OUTCLR = 1u << SCL_PIN | 1u << SDA_PIN; }
static inline void wire_scl(uint8_t level) { wire(SCL_PIN, level); }
static inline void wire_sda(uint8_t level) { wire(SDA_PIN, level); }
static inline uint8_t wire_scl_is(void) { return GPIO_IN >> SCL_PIN & 1; }
static inline uint8_t wire_sda_is(void) { return GPIO_IN >> SDA_PIN & 1; }

#endif
