/* MPS2 AN385: CMSDK UART (ARM DDI 0479 4.3) as the link, the FPGAIO's counter as the clock. */
#include "cortexm.h"
#include "softi2c.h"

#define UART_DATA REG(0x40004000)
#define UART_STATE REG(0x40004004)
#define UART_CTRL REG(0x40004008)
#define UART_INTCLEAR REG(0x4000400C)
#define UART_BAUDDIV REG(0x40004010)
#define FPGAIO_COUNTER REG(0x40028018)
#define FPGAIO_PRESCALE REG(0x4002801C)

enum { TX_FULL = 1, RX_FULL = 2, RX_OVERRUN = 8, CTRL_TX_RX_RXINT = 0xB, INT_RX = 2 };

void link_irq(void)
{
    UART_INTCLEAR = INT_RX; /* before draining: what comes meanwhile raises it anew */
    while (UART_STATE & RX_FULL)
        ring_put((uint8_t)UART_DATA);
    if (UART_STATE & RX_OVERRUN) {
        UART_STATE = RX_OVERRUN;
        ring_lost();
    }
}

void hal_init(void)
{
    FPGAIO_PRESCALE = HW_CPU_HZ / 1000000 - 1;
    UART_BAUDDIV = HW_CPU_HZ / HW_BAUD;
    UART_CTRL = CTRL_TX_RX_RXINT;
    softi2c_init();
    chip_irq_enable(HW_LINK_IRQ);
    wake_every(HW_CPU_HZ / 100);
}

void hal_tx(uint8_t octet)
{
    while (UART_STATE & TX_FULL) {
    }
    UART_DATA = octet;
}

void hal_flush(void) {}

/* The state tells of the buffer only: the shift register takes one octet's time more. */
void hal_drain(void)
{
    uint32_t since;
    while (UART_STATE & TX_FULL) {
    }
    since = hal_micros();
    while (hal_micros() - since < 11000000 / HW_BAUD) {
    }
}

uint32_t hal_micros(void) { return FPGAIO_COUNTER; }

void hal_reset(uint8_t kind)
{
    (void)kind;
    chip_reset(HW_RESET_SOFTWARE);
}
