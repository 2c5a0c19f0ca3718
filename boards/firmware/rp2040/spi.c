/* SPI0 of the RP2040, a PL022 (ARM DDI 0194; RP2040 4.4), chip select a plain output. */
#include "rp2040.h"

#define SPI_CR0 REG(0x4003C000)
#define SPI_CR1 REG(0x4003C004)
#define SPI_DR REG(0x4003C008)
#define SPI_SR REG(0x4003C00C)
#define SPI_CPSR REG(0x4003C010)

enum { MISO_PIN = 16, CS_PIN = 17, SCK_PIN = 18, MOSI_PIN = 19, SPI_MODES = 4 };
enum { EIGHT_BITS = 7, ON = 2, HAS_ROOM = 2, HAS_OCTET = 4 };

void spi_init(void)
{
    SIO_OUT_SET = 1 << CS_PIN;
    SIO_OE_SET = 1 << CS_PIN;
    pin_function(CS_PIN, PIN_SIO, 0);
    pin_function(SCK_PIN, PIN_SPI, 0);
    pin_function(MOSI_PIN, PIN_SPI, 0);
    pin_function(MISO_PIN, PIN_SPI, PAD_PULL_DOWN);
    hal_spi_config(0, 0, 0, 1000000);
}

/* Clock / (2 * steps), steps up to 256; the mode's bit 0 is CPHA, bit 1 CPOL. */
uint32_t hal_spi_config(uint8_t bus, uint8_t cs, uint8_t mode, uint32_t hz)
{
    uint32_t steps;
    if (bus || cs || mode >= SPI_MODES || !hz)
        return 0;
    if (hz > HW_CPU_HZ / 2)
        hz = HW_CPU_HZ / 2;
    steps = (HW_CPU_HZ / 2 + hz - 1) / hz;
    if (steps > 256)
        return 0;
    SPI_CR1 = 0;
    SPI_CPSR = 2;
    SPI_CR0 = (steps - 1) << 8 | (uint32_t)(mode & 1) << 7 | (uint32_t)(mode & 2) << 5 | EIGHT_BITS;
    SPI_CR1 = ON;
    return HW_CPU_HZ / 2 / steps;
}

uint8_t hal_spi_select(uint8_t bus, uint8_t cs, uint8_t active)
{
    if (bus || cs)
        return HW_INVALID;
    if (active)
        SIO_OUT_CLEAR = 1 << CS_PIN;
    else
        SIO_OUT_SET = 1 << CS_PIN;
    return HW_OK;
}

uint8_t hal_spi_exchange(uint8_t bus, uint8_t octet)
{
    (void)bus;
    while (!(SPI_SR & HAS_ROOM)) {
    }
    SPI_DR = octet;
    while (!(SPI_SR & HAS_OCTET)) {
    }
    return (uint8_t)SPI_DR;
}
