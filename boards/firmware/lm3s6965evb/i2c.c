/* I2C0 of the LM3S6965 as controller (data sheet LM3S6965, section 16).
 *
 * Two limits of this HAL. The master starts only together with an octet, so an empty write is
 * refused as unsupported, and what START found is told with the first octet. A repeated START is
 * made of a STOP and a START: QEMU's model keeps the direction of the first one otherwise. */
#include "i2c.h"

#include "cortexm.h"

#define GPIOB(offset) REG(0x40005000 + (offset))
#define I2C_MSA REG(0x40020000)
#define I2C_MCS REG(0x40020004)
#define I2C_MDR REG(0x40020008)
#define I2C_MTPR REG(0x4002000C)
#define I2C_MCR REG(0x40020020)

enum { RUN = 1, START = 2, STOP = 4, ACK = 8 };                                   /* MCS written */
enum { BUSY = 1, ERROR = 2, NO_ADDRESS_ACK = 4, NO_DATA_ACK = 8, LOST = 0x10, BUS_BUSY = 0x40 };
enum { FASTEST_HZ = 400000, LONGEST_US = 25000, AFSEL = 0x420, ODR = 0x50C, DEN = 0x51C };

static uint8_t held;     /* the bus is ours, between START and STOP */
static uint8_t starting; /* START is kept back until the first octet */

void i2c_init(void)
{
    GPIOB(AFSEL) |= 0xC;
    GPIOB(ODR) |= 8; /* SDA; SCL is driven by the master itself */
    GPIOB(DEN) |= 0xC;
    I2C_MCR = 0x10;
    hal_i2c_config(0, 100000);
}

/* SCL takes 20 clocks times (1 + TPR) (16.3.1.5). */
uint32_t hal_i2c_config(uint8_t bus, uint32_t hz)
{
    uint32_t period;
    (void)bus;
    if (!hz)
        return 0;
    if (hz > FASTEST_HZ)
        hz = FASTEST_HZ;
    period = (HW_CPU_HZ / 20 + hz - 1) / hz;
    if (period > 128)
        return 0;
    I2C_MTPR = period - 1;
    return HW_CPU_HZ / 20 / period;
}

static uint8_t run(uint32_t command)
{
    uint32_t since = hal_micros(), status;
    I2C_MCS = command;
    while ((status = I2C_MCS) & BUSY)
        if (hal_micros() - since > LONGEST_US)
            return HW_TIMEOUT;
    if (!(status & ERROR))
        return HW_OK;
    if (status & NO_DATA_ACK)
        return HW_NAK_DATA;
    /* "Lost" to nobody, for the bus is free: so QEMU tells that no target has acknowledged. */
    if (status & NO_ADDRESS_ACK || !(status & BUS_BUSY))
        return HW_NAK_ADDRESS;
    return HW_ARBITRATION_LOST;
}

/* One octet with the START before it that was kept back. */
static uint8_t octet(uint32_t command)
{
    uint8_t status;
    if (starting)
        command |= START;
    starting = 0;
    status = run(command | RUN);
    held = status != HW_ARBITRATION_LOST;
    return status;
}

uint8_t hal_i2c_start(uint8_t bus, uint8_t address_octet)
{
    uint8_t status = held ? hal_i2c_stop(bus) : HW_OK;
    if (status)
        return status;
    I2C_MSA = address_octet;
    starting = 1;
    return HW_OK;
}

uint8_t hal_i2c_write(uint8_t bus, uint8_t value)
{
    (void)bus;
    I2C_MDR = value;
    return octet(0);
}

uint8_t hal_i2c_read(uint8_t bus, uint8_t ack, uint8_t *value)
{
    uint8_t status = octet(ack ? ACK : 0);
    (void)bus;
    *value = (uint8_t)I2C_MDR;
    return status;
}

uint8_t hal_i2c_stop(uint8_t bus)
{
    uint8_t was_held = held;
    (void)bus;
    held = 0;
    if (starting) { /* nothing between START and STOP */
        starting = 0;
        return HW_UNSUPPORTED;
    }
    if (was_held)
        run(STOP);
    return HW_OK;
}

/* The master has no say over its lines: as pins of GPIOB they clock a target free (UM10204 3.1.16). */
uint8_t hal_i2c_recover(uint8_t bus)
{
    enum { DIR = 0x400, SCL = 4, SDA = 8 };
    uint8_t is_free;
    (void)bus;
    held = starting = 0;
    GPIOB(ODR) |= SCL;
    GPIOB((SCL | SDA) << 2) = SCL | SDA;
    GPIOB(DIR) |= SCL | SDA;
    GPIOB(AFSEL) &= ~(uint32_t)(SCL | SDA);
    for (uint8_t edge = 0; edge <= 20; edge++) {
        uint32_t since = hal_micros();
        uint32_t lines = edge == 18 ? 0 : edge == 19 ? SCL : edge == 20 ? SCL | SDA : 0;
        GPIOB((SCL | SDA) << 2) = edge < 18 ? SDA | (edge & 1 ? SCL : 0) : lines;
        while (hal_micros() - since < 5) {
        }
    }
    is_free = (GPIOB((SCL | SDA) << 2) & (SCL | SDA)) == (SCL | SDA);
    GPIOB(ODR) &= ~(uint32_t)SCL;
    GPIOB(DIR) &= ~(uint32_t)(SCL | SDA);
    GPIOB(AFSEL) |= SCL | SDA;
    return is_free ? HW_OK : HW_STUCK;
}
