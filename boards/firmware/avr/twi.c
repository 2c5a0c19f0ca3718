/* Two-wire serial interface (section 22): controller by polling, target by interrupt.
 *
 * Every wait ends after 25 ms, SMBus's least time-out (SMBus 3.2 section 4.2.2): the interface is then
 * switched off, which lets go of both lines. The target acknowledges its address by itself, so a stale
 * image has it not acknowledge at all; one that gets stale between two looks of the main loop has the
 * pointer not acknowledged, and a read answered with FFh, as by nobody. */
#include "avr.h"

#include <util/delay_basic.h>
#include <util/twi.h>

enum { LIMIT_US = 25000, SDA_PIN = 1 << 4, SCL_PIN = 1 << 5 };

static uint8_t holding;          /* as controller: a START is out and no STOP */
static volatile uint8_t listens; /* TWEA where the target is to be addressed */
static uint8_t target_slot, answers;

/* --- target ---------------------------------------------------------------------------------- */

#define GO_ON (_BV(TWINT) | _BV(TWEN))

/* One status of the target; returns TWEA as the next octet is to be acknowledged. */
static uint8_t target_step(uint8_t status)
{
    switch (status) {
    case TW_SR_SLA_ACK:
        return hw_target_start(target_slot, 0) ? _BV(TWEA) : 0;
    case TW_SR_DATA_ACK:
        return hw_target_write(TWDR) ? _BV(TWEA) : 0;
    case TW_ST_SLA_ACK:
        answers = hw_target_start(target_slot, 1);
        /* fall through */
    case TW_ST_DATA_ACK:
        TWDR = answers ? hw_target_read() : 0xFF;
        return answers ? _BV(TWEA) : 0;
    case TW_SR_STOP:
        if (!(PINC & SDA_PIN)) /* a repeated START: the transaction goes on */
            return listens;
        hw_target_stop();
        return listens;
    case TW_BUS_ERROR: /* only TWSTO ends it, and sends nothing (section 22.7.5) */
        hw_target_stop();
        return listens | _BV(TWSTO);
    default:
        hw_target_stop();
        return listens;
    }
}

ISR(TWI_vect)
{
    uint8_t ack = target_step(TW_STATUS);
    TWCR = GO_ON | _BV(TWIE) | ack;
}

uint8_t hal_target_listen(uint8_t slot, uint8_t bus, uint16_t address, uint8_t on)
{
    if (bus)
        return HW_INVALID;
    if (address >> 8 & HW_SPI_TARGET)
        return spi_target_listen(slot, address, on);
    if (address > 0x7F)
        return HW_INVALID;
    target_slot = slot;
    listens = on ? _BV(TWEA) : 0;
    TWAR = (uint8_t)(address << 1);
    if (!holding) /* a flag that is set is the interrupt's: writing 0 leaves it */
        TWCR = _BV(TWEN) | _BV(TWIE) | listens;
    return HW_OK;
}

/* Keep the interrupt out, and TWEA as the last one has left it. */
static void lock(void)
{
    uint8_t state = SREG;
    cli();
    TWCR = (TWCR & _BV(TWEA)) | _BV(TWEN);
    SREG = state;
}

void hal_target_lock(void)
{
    spi_target_lock(1);
    lock();
}

void hal_target_unlock(void)
{
    spi_target_lock(0);
    if (!holding)
        TWCR = (TWCR & _BV(TWEA)) | _BV(TWEN) | _BV(TWIE);
}

/* --- controller ------------------------------------------------------------------------------ */

/* The interface has forgotten what a controller had begun; what is on the SPI goes on. */
static void forget(void)
{
    if (!spi_watched)
        hw_target_stop();
}

static uint8_t give_up(void)
{
    uint8_t lines = PINC & (SDA_PIN | SCL_PIN);
    TWCR = 0;
    holding = 0;
    forget();
    TWCR = _BV(TWEN) | _BV(TWIE) | listens;
    return lines == (SDA_PIN | SCL_PIN) ? HW_TIMEOUT : HW_STUCK;
}

/* Set the interface to work and wait for its next status; HW_OK is then TW_STATUS's to judge. */
static uint8_t wait(uint8_t control)
{
    uint32_t since = hal_micros();
    TWCR = control;
    while (!(TWCR & _BV(TWINT)))
        if (hal_micros() - since > LIMIT_US)
            return give_up();
    return HW_OK;
}

static uint8_t judge(uint8_t failure)
{
    if (TW_STATUS == TW_MT_ARB_LOST) {
        holding = 0;
        TWCR = GO_ON | _BV(TWIE) | listens;
        return HW_ARBITRATION_LOST;
    }
    return failure;
}

/* Until the bus is free somebody else may address the target: it is served in between. TWINT is
 * written only where its status has been seen, because it may come at any time. */
static uint8_t start(void)
{
    uint8_t control = _BV(TWEN) | _BV(TWSTA) | (holding ? _BV(TWINT) : TWCR & _BV(TWEA));
    for (;;) {
        uint8_t status = wait(control);
        if (status)
            return status;
        if (TW_STATUS == TW_START || TW_STATUS == TW_REP_START)
            return HW_OK;
        control = GO_ON | _BV(TWSTA) | target_step(TW_STATUS);
    }
}

uint8_t hal_i2c_start(uint8_t bus, uint8_t address_octet)
{
    (void)bus;
    lock();
    uint8_t status = start();
    if (status)
        return status;
    holding = 1;
    TWDR = address_octet;
    status = wait(GO_ON);
    if (status)
        return status;
    if (TW_STATUS == TW_MT_SLA_ACK || TW_STATUS == TW_MR_SLA_ACK)
        return HW_OK;
    return judge(HW_NAK_ADDRESS);
}

uint8_t hal_i2c_write(uint8_t bus, uint8_t octet)
{
    (void)bus;
    TWDR = octet;
    uint8_t status = wait(GO_ON);
    if (status || TW_STATUS == TW_MT_DATA_ACK)
        return status;
    return judge(HW_NAK_DATA);
}

uint8_t hal_i2c_read(uint8_t bus, uint8_t ack, uint8_t *octet)
{
    (void)bus;
    uint8_t status = wait(ack ? GO_ON | _BV(TWEA) : GO_ON);
    *octet = TWDR;
    if (status || TW_STATUS == TW_MR_DATA_ACK || TW_STATUS == TW_MR_DATA_NACK)
        return status;
    return judge(HW_NAK_DATA);
}

uint8_t hal_i2c_stop(uint8_t bus)
{
    (void)bus;
    if (!holding)
        return HW_OK;
    uint32_t since = hal_micros();
    holding = 0;
    TWCR = GO_ON | _BV(TWSTO) | _BV(TWIE) | listens;
    while (TWCR & _BV(TWSTO))
        if (hal_micros() - since > LIMIT_US)
            return give_up();
    return HW_OK;
}

/* SCL = 16 MHz / (16 + 2 TWBR 4^TWPS) (section 22.5.2), not above what is asked for. */
uint32_t hal_i2c_config(uint8_t bus, uint32_t hz)
{
    if (bus || hz < 8000)
        return 0;
    if (hz > 400000)
        hz = 400000;
    uint16_t n = (uint16_t)((UNO_HZ / 2 + hz - 1) / hz) - 8; /* TWBR 4^TWPS */
    uint8_t prescale = n > 255 ? (n += 3, n >>= 2, 1) : 0;
    if (n > 255)
        n = 255;
    TWBR = (uint8_t)n;
    TWSR = prescale;
    if (!holding)
        TWCR = _BV(TWEN) | _BV(TWIE) | listens;
    return UNO_HZ / (16 + 2ul * (prescale ? n << 2 : n));
}

/* --- recovery (UM10204 section 3.1.16): the port clocks the bus ------------------------------ */

static void line(uint8_t pin, uint8_t high)
{
    if (high)
        DDRC &= (uint8_t)~pin;
    else
        DDRC |= pin;
    _delay_loop_1(27); /* 5 us: half a clock at 100 kHz */
}

uint8_t hal_i2c_recover(uint8_t bus)
{
    (void)bus;
    TWCR = 0;
    holding = 0;
    forget();
    PORTC &= (uint8_t) ~(SDA_PIN | SCL_PIN);
    for (uint8_t i = 0; i < 9; i++) {
        line(SCL_PIN, 0);
        line(SCL_PIN, 1);
    }
    line(SCL_PIN, 0);
    line(SDA_PIN, 0);
    line(SCL_PIN, 1);
    line(SDA_PIN, 1);
    uint8_t lines = PINC & (SDA_PIN | SCL_PIN);
    TWCR = _BV(TWEN) | _BV(TWIE) | listens;
    return lines == (SDA_PIN | SCL_PIN) ? HW_OK : HW_STUCK;
}
