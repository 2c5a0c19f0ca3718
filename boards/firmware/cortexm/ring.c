/* Received octets between the link's interrupt and the core, and the sleep in which none is missed. */
#include "cortexm.h"

enum { SIZE = 256 };

static volatile uint8_t octets[SIZE];
static volatile uint16_t put, taken; /* both count on; SIZE divides what they count to */
static volatile uint8_t gap;         /* octets were lost behind those in the ring */

/* Behind a gap nothing is put until the core has been told of it: the gap is where it was. */
void ring_put(uint8_t octet)
{
    if (gap)
        return;
    if ((uint16_t)(put - taken) == SIZE) {
        gap = 1;
        return;
    }
    octets[put % SIZE] = octet;
    put++;
}

void ring_lost(void) { gap = 1; }

int hal_rx(void)
{
    uint8_t octet;
    if (put == taken) {
        if (!gap || put != taken)
            return HAL_RX_EMPTY;
        gap = 0;
        return HAL_RX_LOST;
    }
    octet = octets[taken % SIZE];
    taken++;
    return octet;
}

__attribute__((weak)) uint8_t chip_waits(void) { return 0; }

void hal_idle(void)
{
    __asm volatile("cpsid i" ::: "memory");
    if (put == taken && !gap && !chip_waits())
        __asm volatile("wfi");
    __asm volatile("cpsie i" ::: "memory");
}
