/* LM3S6965: clocks, PL011 as the link, and a clock of microseconds. Sections: data sheet LM3S6965.
 *
 * The clock counts the watchdog timer (section 11), which runs freely once its interrupt is enabled
 * and resets nothing as long as RESEN is clear: of all the counters of the chip that QEMU models it
 * is the one with 32 bits that can be read. */
#include "cortexm.h"
#include "i2c.h"
#include "pl011.h"

#define WDT_LOAD REG(0x40000000)
#define WDT_VALUE REG(0x40000004)
#define WDT_CTL REG(0x40000008)
#define GPIOA(offset) REG(0x40004000 + (offset))
#define SYS_RIS REG(0x400FE050)
#define SYS_RESC REG(0x400FE05C)
#define SYS_RCC REG(0x400FE060)
#define SYS_RCGC0 REG(0x400FE100)
#define SYS_RCGC1 REG(0x400FE104)
#define SYS_RCGC2 REG(0x400FE108)
#define USER_REG0 REG(0x400FE1E0)
#define USER_REG1 REG(0x400FE1E4)

enum { RCC_PWRDN = 1 << 13, RCC_BYPASS = 1 << 11, RCC_USESYSDIV = 1 << 22, PLL_LOCKED = 1 << 6 };
enum { RCC_CRYSTAL_8M = 0xE << 6, RCC_BY_4 = 3 << 23, RCC_INTERNAL = 1 << 4, AFSEL = 0x420, DEN = 0x51C };

/* 200 MHz of the PLL by four, from the crystal of 8 MHz (5.2.4). */
static void start_clock(void)
{
    uint32_t rcc = RCC_CRYSTAL_8M | RCC_BY_4;
    SYS_RCC = rcc | RCC_BYPASS | RCC_PWRDN | RCC_INTERNAL;
    for (volatile uint32_t left = 20000; left; left--) { /* the crystal's 10 ms and more */
    }
    SYS_RCC = rcc | RCC_BYPASS | RCC_PWRDN;
    SYS_RCC = rcc | RCC_BYPASS;
    while (!(SYS_RIS & PLL_LOCKED)) {
    }
    SYS_RCC = rcc | RCC_BYPASS | RCC_USESYSDIV;
    SYS_RCC = rcc | RCC_USESYSDIV;
}

void hal_init(void)
{
    start_clock();
    SYS_RCGC0 |= 1 << 3;           /* watchdog timer */
    SYS_RCGC1 |= 1 << 0 | 1 << 12; /* UART0, I2C0 */
    SYS_RCGC2 |= 1 << 0 | 1 << 1;  /* GPIOA, GPIOB */
    while (!(SYS_RCGC2 & 2)) {     /* three clocks until they answer (5.3) */
    }
    WDT_LOAD = 0xFFFFFFFF;
    WDT_CTL = 1;
    GPIOA(AFSEL) |= 3;
    GPIOA(DEN) |= 3;
    pl011_init();
    i2c_init();
    wake_every(HW_CPU_HZ / 100);
}

/* Called every 10 ms at least, and the counter wraps in 86 s. */
uint32_t hal_micros(void)
{
    static uint32_t us, seen = 0xFFFFFFFF, rest;
    uint32_t now = WDT_VALUE;
    rest += seen - now;
    seen = now;
    us += rest / (HW_CPU_HZ / 1000000);
    rest %= HW_CPU_HZ / 1000000;
    return us;
}

/* The Ethernet address that every board has been given. */
void chip_uid(uint8_t uid[8]) { hw_put32(hw_put32(uid, USER_REG0), USER_REG1); }

/* RESC gathers causes until they are cleared (5.4): 0 pin, 1 power, 2 brown-out, 3 watchdog. */
uint8_t chip_reset_cause(void)
{
    uint32_t causes = SYS_RESC;
    SYS_RESC = 0;
    return causes & 2   ? HW_RESET_POWER_ON
           : causes & 4 ? HW_RESET_BROWN_OUT
           : causes & 8 ? HW_RESET_WATCHDOG
                        : HW_RESET_UNKNOWN;
}

void hal_reset(uint8_t kind)
{
    (void)kind;
    chip_reset(HW_RESET_SOFTWARE);
}
