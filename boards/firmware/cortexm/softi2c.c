/* I2C controller by software: any shape of transaction that the bus knows, clock stretching,
 * loss of arbitration seen, no limit of a peripheral's. Sections are those of NXP UM10204. */
#include "softi2c.h"

#include "cortexm.h"
#include "wires.h"

#ifndef HW_I2C_HALF_CYCLES
#define HW_I2C_HALF_CYCLES 40 /* of half a bit without any pause */
#endif
enum { LOOP_CYCLES = 3 };    /* of one turn of pause() */
enum { STRETCH_US = 25000 }; /* longest that a target may hold SCL low: SMBus 3.1, T_TIMEOUT,MIN */

static uint32_t turns; /* of half a bit */
static uint8_t held;   /* between START and STOP */

static void pause(void)
{
    uint32_t left = turns;
    if (left)
        __asm volatile(".syntax unified\n1: subs %0, #1\n bne 1b" : "+l"(left) : : "cc");
}

static uint8_t stretched(void)
{
    uint32_t since = hal_micros();
    while (!wire_scl_is())
        if (hal_micros() - since > STRETCH_US)
            return HW_TIMEOUT;
    return HW_OK;
}

/* Let SCL rise and wait for targets that stretch it (3.1.9). */
static uint8_t rise(void)
{
    wire_scl(1);
    if (!wire_scl_is() && stretched())
        return HW_TIMEOUT;
    pause();
    return HW_OK;
}

static uint8_t put_bit(uint8_t bit)
{
    uint8_t status;
    wire_sda(bit);
    pause();
    status = rise();
    if (!status && bit && !wire_sda_is()) {
        held = 0; /* somebody else goes on (3.1.8): hands off */
        return HW_ARBITRATION_LOST;
    }
    if (!status)
        wire_scl(0);
    return status;
}

static uint8_t take_bit(uint8_t *bit)
{
    uint8_t status;
    wire_sda(1);
    pause();
    status = rise();
    *bit = wire_sda_is();
    if (!status)
        wire_scl(0);
    return status;
}

/* Eight bits and the acknowledgement; nak is the status where there is none. */
static uint8_t put_octet(uint8_t octet, uint8_t nak)
{
    uint8_t status, level = 0;
    for (uint8_t mask = 0x80; mask; mask >>= 1) {
        status = put_bit((octet & mask) != 0);
        if (status)
            return status;
    }
    status = take_bit(&level);
    return status ? status : level ? nak : HW_OK;
}

void softi2c_init(void)
{
    wire_init();
    wire_scl(1);
    wire_sda(1);
    hal_i2c_config(0, 100000);
}

uint32_t hal_i2c_config(uint8_t bus, uint32_t hz)
{
    uint32_t half;
    (void)bus;
    if (!hz)
        return 0;
    half = HW_CPU_HZ / 2 / hz;
    turns = half > HW_I2C_HALF_CYCLES ? (half - HW_I2C_HALF_CYCLES + LOOP_CYCLES - 1) / LOOP_CYCLES : 0;
    return HW_CPU_HZ / 2 / (HW_I2C_HALF_CYCLES + turns * LOOP_CYCLES);
}

/* START, or a repeated one while the bus is held (3.1.4, 3.1.10). */
uint8_t hal_i2c_start(uint8_t bus, uint8_t address_octet)
{
    (void)bus;
    wire_sda(1);
    pause();
    if (held && rise())
        return HW_TIMEOUT;
    if (!wire_scl_is() || !wire_sda_is())
        return HW_STUCK;
    held = 1;
    wire_sda(0);
    pause();
    wire_scl(0);
    return put_octet(address_octet, HW_NAK_ADDRESS);
}

uint8_t hal_i2c_write(uint8_t bus, uint8_t octet)
{
    (void)bus;
    return put_octet(octet, HW_NAK_DATA);
}

uint8_t hal_i2c_read(uint8_t bus, uint8_t ack, uint8_t *octet)
{
    uint8_t status = HW_OK, level = 0, value = 0;
    (void)bus;
    for (uint8_t i = 0; i < 8 && !status; i++) {
        status = take_bit(&level);
        value = (uint8_t)(value << 1 | level);
    }
    *octet = value;
    return status ? status : put_bit(!ack);
}

uint8_t hal_i2c_stop(uint8_t bus)
{
    uint8_t status;
    (void)bus;
    if (!held) {
        wire_sda(1);
        wire_scl(1);
        return HW_OK;
    }
    held = 0;
    wire_sda(0);
    pause();
    status = rise();
    wire_sda(1);
    pause();
    return status;
}

/* Nine clocks let a target that was left in the middle of an octet finish it (3.1.16). */
uint8_t hal_i2c_recover(uint8_t bus)
{
    uint8_t level = 0;
    for (uint8_t i = 0; i < 9 && !(i && wire_sda_is()); i++)
        if (take_bit(&level))
            return HW_STUCK;
    held = 1;
    hal_i2c_stop(bus);
    return wire_sda_is() && wire_scl_is() ? HW_OK : HW_STUCK;
}
