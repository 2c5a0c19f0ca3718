/* Registers of the RP2040 that more than one file moves. Sections: RP2040 data sheet. */
#ifndef RP2040_H
#define RP2040_H

#include "cortexm.h"

enum { CLEAR_BITS = 0x3000 }; /* alias of every register that clears the bits written (2.1.2) */

#define RESETS_CLEAR REG(0x4000C000 + CLEAR_BITS)
#define RESETS_DONE REG(0x4000C008)
enum { /* 2.14.3 */
    BLOCK_IO = 1 << 5, BLOCK_PADS = 1 << 8, BLOCK_SPI0 = 1 << 16, BLOCK_TIMER = 1 << 21,
    BLOCK_UART0 = 1 << 22
};

#define SIO_IN REG(0xD0000004)
#define SIO_OUT_SET REG(0xD0000014)
#define SIO_OUT_CLEAR REG(0xD0000018)
#define SIO_OE_SET REG(0xD0000024)
#define SIO_OE_CLEAR REG(0xD0000028)

#define PIN_CONTROL(pin) REG(0x40014004 + (pin) * 8u)
#define PIN_PAD(pin) REG(0x4001C004 + (pin) * 4u)
enum { PIN_SPI = 1, PIN_UART = 2, PIN_SIO = 5 };                            /* 2.19.2 */
enum { PAD_PLAIN = 0x52, PAD_PULL_UP = 1 << 3, PAD_PULL_DOWN = 1 << 2 };    /* 2.19.6.3 */

static inline void pin_function(uint8_t pin, uint32_t function, uint32_t pull)
{
    PIN_PAD(pin) = PAD_PLAIN | pull;
    PIN_CONTROL(pin) = function;
}

void spi_init(void);
void pins_init(void);

#endif
