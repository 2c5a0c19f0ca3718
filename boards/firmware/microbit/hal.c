/* micro:bit V1: UART (nRF51 Reference Manual 29) as the link, TIMER0 (18) as the clock. */
#include "cortexm.h"
#include "softi2c.h"
#include "wires.h"

#define CLOCK_HFCLKSTART REG(0x40000000)
#define CLOCK_HFCLKSTARTED REG(0x40000100)
#define POWER_RESETREAS REG(0x40000400)
#define UART_STARTRX REG(0x40002000)
#define UART_STARTTX REG(0x40002008)
#define UART_RXDRDY REG(0x40002108)
#define UART_TXDRDY REG(0x4000211C)
#define UART_ERROR REG(0x40002124)
#define UART_INTENSET REG(0x40002304)
#define UART_ERRORSRC REG(0x40002480)
#define UART_ENABLE REG(0x40002500)
#define UART_PSELTXD REG(0x4000250C)
#define UART_PSELRXD REG(0x40002514)
#define UART_RXD REG(0x40002518)
#define UART_TXD REG(0x4000251C)
#define UART_BAUDRATE REG(0x40002524)
#define TIMER(n, offset) REG(0x40008000 + (n) * 0x1000 + (offset))
#define RNG_START REG(0x4000D000)
#define RNG_STOP REG(0x4000D004)
#define RNG_VALRDY REG(0x4000D100)
#define RNG_VALUE REG(0x4000D508)
#define FICR_DEVICEID0 REG(0x10000060)
#define FICR_DEVICEID1 REG(0x10000064)

enum { /* offsets in a timer */
    T_START = 0, T_CAPTURE0 = 0x40, T_COMPARE0 = 0x140, T_SHORTS = 0x200, T_INTENSET = 0x304,
    T_BITMODE = 0x508, T_PRESCALER = 0x510, T_CC0 = 0x540
};
enum { PIN_TX = 24, PIN_RX = 25, BAUD_115200 = 0x01D7E000, INT_RXDRDY_ERROR = 1 << 2 | 1 << 9 };

static uint8_t sending; /* an octet was given whose TXDRDY has not been seen */

void link_irq(void)
{
    if (UART_ERROR) {
        UART_ERROR = 0;
        UART_ERRORSRC = UART_ERRORSRC;
        ring_lost();
    }
    while (UART_RXDRDY) {
        UART_RXDRDY = 0; /* before reading: the FIFO's next octet raises it anew */
        ring_put((uint8_t)UART_RXD);
    }
}

void timer_irq(void) { TIMER(1, T_COMPARE0) = 0; }

/* 1 MHz, 32 bits (TIMER0) or 16 (TIMER1). */
static void start_timer(uint8_t n, uint8_t bits)
{
    TIMER(n, T_BITMODE) = bits == 32 ? 3 : 0;
    TIMER(n, T_PRESCALER) = 4;
    TIMER(n, T_START) = 1;
}

void hal_init(void)
{
    CLOCK_HFCLKSTART = 1; /* the crystal: its RC fellow is too far off for a UART */
    while (!CLOCK_HFCLKSTARTED) {
    }
    start_timer(0, 32);
    TIMER(1, T_CC0) = 10000;
    TIMER(1, T_SHORTS) = 1; /* compare clears: every 10 ms */
    TIMER(1, T_INTENSET) = 1 << 16;
    start_timer(1, 16);
    GPIO_OUTSET = 1u << PIN_TX; /* the UART wants its pins set up as these, too (29.2) */
    GPIO_CNF(PIN_TX) = 1;
    GPIO_CNF(PIN_RX) = CNF_PULL_UP;
    UART_PSELTXD = PIN_TX;
    UART_PSELRXD = PIN_RX;
    UART_BAUDRATE = BAUD_115200;
    UART_ENABLE = 4;
    UART_INTENSET = INT_RXDRDY_ERROR;
    UART_STARTRX = 1;
    UART_STARTTX = 1;
    softi2c_init();
    chip_irq_enable(HW_LINK_IRQ);
    chip_irq_enable(HW_WAKE_IRQ);
}

void hal_drain(void)
{
    while (sending && !UART_TXDRDY) {
    }
}

void hal_tx(uint8_t octet)
{
    hal_drain();
    UART_TXDRDY = 0;
    UART_TXD = octet;
    sending = 1;
}

void hal_flush(void) {}

uint32_t hal_micros(void)
{
    TIMER(0, T_CAPTURE0) = 1;
    return TIMER(0, T_CC0);
}

void chip_uid(uint8_t uid[8]) { hw_put32(hw_put32(uid, FICR_DEVICEID0), FICR_DEVICEID1); }

uint32_t chip_noise(void)
{
    uint32_t noise = 0;
    RNG_START = 1;
    for (uint8_t i = 0; i < 4; i++) {
        while (!RNG_VALRDY) {
        }
        RNG_VALRDY = 0;
        noise = noise << 8 | RNG_VALUE;
    }
    RNG_STOP = 1;
    return noise;
}

/* RESETREAS gathers reasons until they are cleared (11.1.6): none is power-on or brown-out. */
uint8_t chip_reset_cause(void)
{
    uint32_t reasons = POWER_RESETREAS;
    POWER_RESETREAS = reasons;
    return reasons & 2 ? HW_RESET_WATCHDOG : reasons & 8 ? HW_RESET_FAULT : HW_RESET_UNKNOWN;
}

void hal_reset(uint8_t kind)
{
    (void)kind;
    chip_reset(HW_RESET_SOFTWARE);
}
