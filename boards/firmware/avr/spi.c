/* SPI as controller (section 19): SCK D13, MISO D12, MOSI D11, chip select 0 D10. */
#include "avr.h"

enum { SS_PIN = 1 << 2, MOSI_PIN = 1 << 3, SCK_PIN = 1 << 5 };

uint32_t hal_spi_config(uint8_t bus, uint8_t cs, uint8_t mode, uint32_t hz)
{
    if (bus || cs || mode > 3)
        return 0;
    uint8_t shift = 1; /* SCK = 16 MHz >> shift, 2 to 128 */
    while (shift < 7 && UNO_HZ >> shift > hz)
        shift++;
    if (UNO_HZ >> shift > hz)
        return 0;
    PORTB |= SS_PIN;
    DDRB |= SS_PIN | MOSI_PIN | SCK_PIN;
    /* Table 19-5; 1 to 6 are 2, 4, 8, 16, 32, 64 with and without doubling, 7 is 128. */
    uint8_t half = shift & 1 && shift < 7;
    SPCR = _BV(SPE) | _BV(MSTR) | (uint8_t)(mode << CPHA) | (uint8_t)(shift == 7 ? 3 : (shift - 1) >> 1);
    SPSR = half ? _BV(SPI2X) : 0;
    return UNO_HZ >> shift;
}

uint8_t hal_spi_select(uint8_t bus, uint8_t cs, uint8_t active)
{
    if (bus || cs || !(SPCR & _BV(SPE)))
        return HW_INVALID;
    if (active)
        PORTB &= (uint8_t)~SS_PIN;
    else
        PORTB |= SS_PIN;
    return HW_OK;
}

uint8_t hal_spi_exchange(uint8_t bus, uint8_t octet)
{
    (void)bus;
    SPDR = octet;
    loop_until_bit_is_set(SPSR, SPIF);
    return SPDR;
}
