/* What the files of this folder share. */
#ifndef AVR_H
#define AVR_H

#include <avr/interrupt.h>
#include <avr/io.h>
#include <stdint.h>

#include "hal.h"
#include "hilwire.h"

#define LINE_INIT ((uint16_t)((UNO_HZ + 4 * HW_BAUD) / (8 * HW_BAUD) - 1))

uint8_t link_waits(void); /* octets are in the ring; with interrupts locked */
void link_init(void);
uint8_t gpio_waits(void); /* an edge has not been told */

#endif
