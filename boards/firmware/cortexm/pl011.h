/* The PL011 UART (ARM DDI 0183) as the link, in LM3S and RP2040 alike. */
#ifndef PL011_H
#define PL011_H

#include <stdint.h>

void pl011_init(void);
/* Divisor in 64ths of 16 clocks an octet's bit; 0 if none comes within 2 % of the rate. */
uint32_t pl011_divisor(uint32_t baud);

#endif
