/* The PL011 UART (ARM DDI 0183) at HW_PL011, clocked with HW_PL011_HZ, as the link. */
#include "pl011.h"

#include "cortexm.h"

#define DR REG(HW_PL011 + 0x00)
#define FR REG(HW_PL011 + 0x18)
#define IBRD REG(HW_PL011 + 0x24)
#define FBRD REG(HW_PL011 + 0x28)
#define LCR_H REG(HW_PL011 + 0x2C)
#define CR REG(HW_PL011 + 0x30)
#define IMSC REG(HW_PL011 + 0x38)
#define ICR REG(HW_PL011 + 0x44)

enum { FR_BUSY = 8, FR_RXFE = 0x10, FR_TXFF = 0x20, DR_ERRORS = 0xF00 };
enum { INT_RX = 0x10, INT_RT = 0x40, CR_ON = 0x301, LCR_8N1_FIFO = 0x70 };

/* The interrupt is cleared before the FIFO is drained: an octet that comes meanwhile raises it anew. */
void link_irq(void)
{
    ICR = INT_RX | INT_RT;
    while (!(FR & FR_RXFE)) {
        uint32_t octet = DR;
        if (octet & DR_ERRORS)
            ring_lost();
        else
            ring_put((uint8_t)octet);
    }
}

uint32_t pl011_divisor(uint32_t baud)
{
    uint32_t divisor, rate;
    if (!baud || baud > HW_PL011_HZ / 16)
        return 0;
    divisor = (HW_PL011_HZ * 8 / baud + 1) / 2;
    rate = HW_PL011_HZ * 4 / divisor;
    return divisor >> 22 || rate > baud + baud / 50 || rate < baud - baud / 50 ? 0 : divisor;
}

static void set(uint32_t divisor)
{
    CR = 0;
    IBRD = divisor >> 6;
    FBRD = divisor & 63;
    LCR_H = LCR_8N1_FIFO; /* takes the divisor over */
    CR = CR_ON;
}

void pl011_init(void)
{
    set(pl011_divisor(HW_BAUD));
    IMSC = INT_RX | INT_RT;
    chip_irq_enable(HW_LINK_IRQ);
}

void hal_tx(uint8_t octet)
{
    while (FR & FR_TXFF) {
    }
    DR = octet;
}

void hal_flush(void) {}

void hal_drain(void)
{
    while (FR & FR_BUSY) {
    }
}

uint8_t hal_can_baud(uint32_t baud) { return pl011_divisor(baud) != 0; }

uint8_t hal_set_baud(uint32_t baud)
{
    uint32_t divisor = pl011_divisor(baud);
    if (divisor)
        set(divisor);
    return divisor != 0;
}
