/* Raspberry Pi Pico: clocks, UART0 as the link, the timer of microseconds (4.6) as the clock.
 *
 * Reference, system and peripherals run from the crystal of 12 MHz: no PLL, a steady clock. */
#include "pl011.h"
#include "rp2040.h"
#include "softi2c.h"

#define CLK_REF_CTRL REG(0x40008030)
#define CLK_REF_SELECTED REG(0x40008038)
#define CLK_SYS_CTRL REG(0x4000803C)
#define CLK_SYS_SELECTED REG(0x40008044)
#define CLK_PERI_CTRL REG(0x40008048)
#define PSM_WDSEL REG(0x40010008)
#define XOSC_CTRL REG(0x40024000)
#define XOSC_STATUS REG(0x40024004)
#define XOSC_STARTUP REG(0x4002400C)
#define TIMER_RAW_LOW REG(0x40054028)
#define WATCHDOG_CTRL REG(0x40058000)
#define WATCHDOG_REASON REG(0x40058008)
#define WATCHDOG_TICK REG(0x4005802C)
#define ROSC_RANDOM REG(0x4006001C)
#define CHIP_RESET REG(0x40064008)

extern const uint8_t _boot_rom[];

static void start_clock(void)
{
    XOSC_CTRL = 0xAA0;
    XOSC_STARTUP = 47; /* 1 ms (2.16.3) */
    XOSC_CTRL = 0xFABAA0;
    while (!(XOSC_STATUS & 1u << 31)) {
    }
    CLK_REF_CTRL = 2;
    while (!(CLK_REF_SELECTED & 1 << 2)) {
    }
    CLK_SYS_CTRL = 0; /* from the reference */
    while (!(CLK_SYS_SELECTED & 1)) {
    }
    CLK_PERI_CTRL = 1 << 11;
    WATCHDOG_TICK = 1 << 9 | HW_CPU_HZ / 1000000;
}

void hal_init(void)
{
    uint32_t blocks = BLOCK_IO | BLOCK_PADS | BLOCK_SPI0 | BLOCK_TIMER | BLOCK_UART0;
    start_clock();
    RESETS_CLEAR = blocks;
    while ((RESETS_DONE & blocks) != blocks) {
    }
    pin_function(0, PIN_UART, 0);
    pin_function(1, PIN_UART, PAD_PULL_UP);
    pl011_init();
    softi2c_init();
    spi_init();
    pins_init();
    wake_every(HW_CPU_HZ / 100);
}

uint32_t hal_micros(void) { return TIMER_RAW_LOW; }

/* Bits of the ring oscillator (2.17.5), whose phase nobody knows. */
uint32_t chip_noise(void)
{
    uint32_t noise = 0;
    for (uint8_t i = 0; i < 64; i++)
        noise = (noise << 1 | noise >> 31) ^ (ROSC_RANDOM & 1);
    return noise;
}

/* A watchdog that was forced is the firmware's own reset (4.7.6); else what the supply knows
 * (2.12.8): power-on and brown-out are one bit there. */
uint8_t chip_reset_cause(void)
{
    uint32_t reason = WATCHDOG_REASON;
    if (reason)
        return reason & 2 ? HW_RESET_SOFTWARE : HW_RESET_WATCHDOG;
    return CHIP_RESET & 1 << 8 ? HW_RESET_POWER_ON : HW_RESET_UNKNOWN;
}

static uint16_t rom_word(uint8_t offset) { return *(volatile const uint16_t *)(_boot_rom + offset); }

/* The boot ROM's table of functions (2.8.3): code 'UB' is "reset to USB boot". */
static void boot_loader(void)
{
    typedef void *(*lookup_t)(uint32_t table, uint32_t code);
    typedef void (*usb_boot_t)(uint32_t led, uint32_t interfaces);
    lookup_t lookup = (lookup_t)(uint32_t)rom_word(0x18);
    if (rom_word(0x10) == ('M' | 'u' << 8))
        ((usb_boot_t)lookup(rom_word(0x14), 'U' | 'B' << 8))(0, 0);
}

/* The system's reset request would leave the peripherals as they are: the watchdog resets all but
 * the oscillators. */
void hal_reset(uint8_t kind)
{
    if (kind)
        boot_loader();
    kept.cause = HW_RESET_SOFTWARE;
    PSM_WDSEL = 0x1FFFC;
    WATCHDOG_CTRL = 1u << 31;
    for (;;) {
    }
}
