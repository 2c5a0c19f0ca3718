/* What the HALs for Cortex-M share: start, sleep, ring of received octets, what survives a reset.
 *
 * A board gives in its board.h HW_CPU_HZ, HW_LINK_IRQ and HW_DESCRIPTION, in its hal.c the rest of
 * core/hal.h, link_irq(), and chip_uid(), chip_noise() and chip_reset_cause() where the chip knows. */
#ifndef CORTEXM_H
#define CORTEXM_H

#include <stdint.h>

#include "hal.h"
#include "hilwire.h"

#define REG(address) (*(volatile uint32_t *)(address))

/* --- ring.c -------------------------------------------------------------------------------- */

void ring_put(uint8_t octet); /* from link_irq */
void ring_lost(void);         /* from link_irq: octets were lost before the next one put */
void link_irq(void);

/* --- startup.c ----------------------------------------------------------------------------- */

/* RAM that a reset leaves alone, first in the memory. */
struct kept {
    uint32_t noise; /* whatever the RAM held when power came, stirred at each reset */
    uint32_t magic; /* KEPT while the rest is true: power has not gone since */
    uint32_t cause; /* HW_RESET_... of the reset that is coming, HW_RESET_EXTERNAL if unannounced */
    uint32_t boots;
};
extern struct kept kept;

void chip_irq_enable(uint8_t number);
void chip_reset(uint8_t cause); /* by the system's own reset request */
void wake_every(uint32_t cycles); /* SysTick as a wake-up, never as a clock */

/* Of the board's hal.c; startup.c has answers for chips that do not know. */
void chip_uid(uint8_t uid[8]);
uint32_t chip_noise(void);
uint8_t chip_reset_cause(void); /* HW_RESET_UNKNOWN: ask the RAM */
uint8_t chip_waits(void); /* something but octets of the link waits for the main loop */

#endif
