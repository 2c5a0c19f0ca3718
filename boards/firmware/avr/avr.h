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
/* The SPI as target: told of its chip select by the pin change interrupt of port B. */
uint8_t spi_target_listen(uint8_t slot, uint16_t address, uint8_t on); /* status */
void spi_target_lock(uint8_t on);
void spi_edge(void);
extern uint8_t spi_watched; /* pins of port B */

uint8_t gpio_waits(void); /* an edge has not been told */

#endif
