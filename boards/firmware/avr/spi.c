/* SPI (section 19): SCK D13, MISO D12, MOSI D11, chip select 0 D10; as controller by polling, or as target
 * by interrupt, not both.
 *
 * The target has no way to have its controller wait: an answer is late when SPDR is written after the next
 * octet has begun, and the interface says so (WCOL). That octet was the controller's own, which comes back. */
#include "avr.h"

enum { SS_PIN = 1 << 2, MOSI_PIN = 1 << 3, MISO_PIN = 1 << 4, SCK_PIN = 1 << 5 };

uint8_t spi_watched; /* SS_PIN while the interface is a target */
static uint8_t target_slot;

/* --- target ---------------------------------------------------------------------------------- */

static void give_up(void)
{
    (void)SPDR; /* read behind SPSR: its flags are cleared (section 19.5.2) */
    hw_target_late();
}

ISR(SPI_STC_vect)
{
    SPDR = hw_target_exchange(SPDR);
    if (SPSR & (_BV(WCOL) | _BV(SPIF))) /* in the middle of the next octet, or behind it */
        give_up();
}

/* Chip select has changed, or another pin of its port. */
void spi_edge(void)
{
    static uint8_t was = SS_PIN;
    uint8_t now = spi_watched ? PINB & SS_PIN : SS_PIN;
    if (now == was && (now || PCMSK0 != SS_PIN))
        return;
    if (now == was) /* for longer than a transaction, or deselected for a moment */
        hw_target_stop();
    was = now;
    if (!now) {
        hw_target_select(target_slot);
        if (SPSR & _BV(SPIF)) /* and perhaps more than one octet */
            give_up();
        return;
    }
    if (SPSR & _BV(SPIF))
        hw_target_exchange(SPDR);
    hw_target_stop();
    SPDR = 0xFF; /* goes out while the next first octet comes in */
}

void spi_target_lock(uint8_t on)
{
    if (!spi_watched)
        return;
    uint8_t state = SREG;
    cli();
    if (on) {
        PCICR &= (uint8_t)~_BV(PCIE0);
        SPCR &= (uint8_t)~_BV(SPIE);
    } else {
        PCICR |= _BV(PCIE0);
        SPCR |= _BV(SPIE);
    }
    SREG = state;
}

uint8_t spi_target_listen(uint8_t slot, uint16_t address, uint8_t on)
{
    uint8_t mode = (address >> 8 & HW_SPI_MODE) >> 4, state = SREG;
    if ((uint8_t)address)
        return HW_INVALID; /* one chip select */
    if ((SPCR & _BV(MSTR)) && !(PORTB & SS_PIN))
        return HW_BUSY; /* a transaction of the controller holds it */
    cli();
    SPCR = 0;
    DDRB &= (uint8_t)~(SS_PIN | MOSI_PIN | MISO_PIN | SCK_PIN);
    PORTB |= SS_PIN; /* nobody there is nobody who selects */
    spi_watched = on ? SS_PIN : 0;
    if (on) {
        target_slot = slot;
        DDRB |= MISO_PIN; /* driven only while selected (table 19-1) */
        SPSR = 0;
        SPCR = _BV(SPIE) | _BV(SPE) | (uint8_t)(mode << CPHA);
        SPDR = 0xFF;
        PCMSK0 |= SS_PIN;
        PCICR |= _BV(PCIE0);
    } else {
        spi_edge();
        PCMSK0 &= (uint8_t)~SS_PIN;
    }
    SREG = state;
    return HW_OK;
}

/* --- controller ------------------------------------------------------------------------------ */

uint32_t hal_spi_config(uint8_t bus, uint8_t cs, uint8_t mode, uint32_t hz)
{
    if (bus || cs || mode > 3 || spi_watched)
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
    if (spi_watched)
        return HW_BUSY;
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
