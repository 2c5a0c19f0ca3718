/* PB8 and PB9 (D15 and D14 of the Arduino header) as open-drain outputs with pull-ups. */
#ifndef WIRES_H
#define WIRES_H

#include "stm32f4.h"

enum { SCL_PIN = 8, SDA_PIN = 9 };

static inline void wire(uint8_t pin, uint8_t level)
{
    GPIO_BSRR(GPIOB) = level ? 1u << pin : 0x10000u << pin;
}

static inline void wire_init(void)
{
    wire(SCL_PIN, 1);
    wire(SDA_PIN, 1);
    pin_open_drain(GPIOB, SCL_PIN);
    pin_open_drain(GPIOB, SDA_PIN);
}

static inline void wire_scl(uint8_t level) { wire(SCL_PIN, level); }
static inline void wire_sda(uint8_t level) { wire(SDA_PIN, level); }
static inline uint8_t wire_scl_is(void) { return GPIO_IDR(GPIOB) >> SCL_PIN & 1; }
static inline uint8_t wire_sda_is(void) { return GPIO_IDR(GPIOB) >> SDA_PIN & 1; }

#endif
