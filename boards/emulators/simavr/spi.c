/* SPI of the ATmega328P (data sheet section 19), as controller: clock of the divider, double buffer in
 * receive direction, collision flag, mode fault by SS. GPL note: runner.h. */
#include "runner.h"

enum { SPE = 0x40, DORD = 0x20, MSTR = 0x10, CPOL_CPHA = 0x0C, SPR = 0x03 };
enum { SPIF = 0x80, WCOL = 0x40, SPI2X = 0x01 };
enum { SS = 1 << 2 };

static struct line done_line;
static uint8_t received, coming, seen; /* seen: SPSR was read with these flags set (19.5.2) */

static unsigned divisor(void)
{
    static const uint8_t shift[4] = {2, 4, 6, 7};
    unsigned by = shift[cpu->data[SPCR_] & SPR];
    return 1u << (cpu->data[SPSR_] & SPI2X ? by - 1 : by);
}

void spi_flags(uint8_t clear, uint8_t set)
{
    cpu->data[SPSR_] = (uint8_t)((cpu->data[SPSR_] & ~clear) | set);
    line_set(&done_line, !!(cpu->data[SPSR_] & SPIF));
}

static avr_cycle_count_t done(avr_t *avr, avr_cycle_count_t when, void *param)
{
    (void)avr, (void)when, (void)param;
    received = coming;
    spi_flags(0, SPIF);
    return 0;
}

int spi_busy(void)
{
    return avr_cycle_timer_status(cpu, done, NULL) != 0 || spi_target_busy();
}

void spi_came(uint8_t octet)
{
    received = octet;
    spi_flags(0, SPIF);
}

static uint8_t mirrored(uint8_t octet)
{
    uint8_t other = 0;
    for (int bit = 0; bit < 8; bit++) {
        other = (uint8_t)(other << 1 | (octet >> bit & 1));
    }
    return other;
}

static void write_data(avr_t *avr, avr_io_addr_t at, uint8_t value, void *param)
{
    (void)at, (void)param;
    uint8_t control = avr->data[SPCR_];
    spi_flags(seen, 0);
    seen = 0;
    if (!(control & MSTR)) {
        spi_target_write(value);
        return;
    }
    if (spi_busy()) {
        spi_flags(0, WCOL);
        return;
    }
    if (!(control & SPE)) {
        return;
    }
    uint8_t ask[6] = {control & DORD ? mirrored(value) : value, (uint8_t)((control & CPOL_CPHA) >> 2)}, answer = 0xFF;
    put32(ask + 2, avr->frequency / divisor());
    if (wires_ask(WIRE_SPI, ask, sizeof ask, &answer, 1) != 1) {
        answer = 0xFF; /* nobody drives MISO: it is pulled up */
    }
    coming = control & DORD ? mirrored(answer) : answer;
    counted[N_SPI_BYTES]++;
    avr_cycle_timer_register(avr, 8 * divisor(), done, NULL);
}

static uint8_t read_data(avr_t *avr, avr_io_addr_t at, void *param)
{
    (void)avr, (void)at, (void)param;
    spi_flags(seen, 0);
    seen = 0;
    return received;
}

static uint8_t read_status(avr_t *avr, avr_io_addr_t at, void *param)
{
    (void)param;
    seen = avr->data[at] & (SPIF | WCOL);
    return avr->data[at];
}

static void write_status(avr_t *avr, avr_io_addr_t at, uint8_t value, void *param)
{
    (void)param;
    avr->data[at] = (uint8_t)((avr->data[at] & ~SPI2X) | (value & SPI2X));
}

static void write_control(avr_t *avr, avr_io_addr_t at, uint8_t value, void *param)
{
    (void)param;
    avr->data[at] = value;
    /* 19.4.2: SS as input and low while controller: somebody else takes the bus. */
    if ((value & SPE) && (value & MSTR) && !(avr->data[PINB_ + 1] & SS) && !(pins_level(0) & SS)) {
        avr->data[at] = (uint8_t)(value & ~MSTR);
        spi_flags(0, SPIF);
        return;
    }
    line_set(&done_line, !!(avr->data[SPSR_] & SPIF));
}

void spi_init(void)
{
    line_init(&done_line, VECTOR_SPI, SPCR_, 7);
    done_line.vector.raised.reg = SPSR_; /* executing the interrupt clears SPIF */
    done_line.vector.raised.bit = 7;
    done_line.vector.raised.mask = 1;
    done_line.vector.raise_sticky = 0;
    own_register(SPCR_, NULL, write_control);
    own_register(SPSR_, read_status, write_status);
    own_register(SPDR_, read_data, write_data);
}

void spi_reset(void)
{
    avr_cycle_timer_cancel(cpu, done, NULL);
    spi_target_reset();
    cpu->data[SPCR_] = cpu->data[SPSR_] = seen = 0;
    spi_flags(SPIF | WCOL, 0);
}
