/* What requests do: the system's own here, the rest in one file for each kind of bus. */
#include "hal.h"
#include "hilwire.h"

#ifndef HW_NAME
#define HW_NAME(i) (HW_BOARD_NAME "\0" HW_FIRMWARE_NAME)[i]
#define HW_NAME_SIZE (sizeof(HW_BOARD_NAME "\0" HW_FIRMWARE_NAME) - 1)
#endif

enum { SPACE_DESCRIPTION, SPACE_UID, UID_SIZE = 8, SPACE_HEAD = 5 };

uint8_t *hw_put32(uint8_t *out, uint32_t value)
{
    for (uint8_t i = 0; i < 4; i++, value >>= 8)
        *out++ = (uint8_t)value;
    return out;
}

uint32_t hw_get32(const uint8_t *in)
{
    return (uint32_t)in[3] << 24 | (uint32_t)in[2] << 16 | (uint16_t)(in[1] << 8) | in[0];
}

uint8_t hw_fail(uint8_t *reply, uint8_t status)
{
    reply[0] = status;
    return 1;
}

uint8_t hw_identity(uint8_t *out)
{
    static const uint8_t version[] = {HW_VERSION};
    uint8_t *o = out;
    *o++ = HW_MINOR;
    *o++ = HW_MAX_FRAME;
    *o++ = HW_WINDOW;
    *o++ = (uint8_t)HW_RX_CREDIT;
    *o++ = (uint8_t)(HW_RX_CREDIT >> 8);
    o = hw_put32(o, 1000000);
    *o++ = 32;
    o = hw_put32(o, HW_CAPABILITIES_NOW);
    *o++ = hal_reset_cause();
    o = hw_put32(o, hal_boot_id());
    hal_identity(o);
    o += UID_SIZE;
    for (uint8_t i = 0; i < sizeof version; i++)
        *o++ = version[i];
    o = hw_put32(o, HW_BUILD);
    for (uint8_t i = 0; i < HW_NAME_SIZE && o < out + HW_ROOM - 1; i++)
        *o++ = (uint8_t)HW_NAME(i);
    return (uint8_t)(o - out);
}

static uint8_t time(uint8_t *reply)
{
    reply = hw_put32(reply + 1, hw_received_us);
    hw_put32(reply, hal_micros());
    return 9;
}

static uint8_t statistics(uint8_t *reply)
{
    for (uint8_t i = 0; i < HW_COUNTERS; i++) {
        *++reply = (uint8_t)hw_counters[i];
        *++reply = (uint8_t)(hw_counters[i] >> 8);
    }
    return 1 + 2 * HW_COUNTERS;
}

/* READ of a space: offset and number of octets are the payload's; what lies behind the end is left
 * out. */
static uint8_t read_space(const uint8_t *payload, uint8_t *reply)
{
    uint32_t offset = hw_get32(payload + 1);
    uint8_t n = payload[SPACE_HEAD];
    if (n > HW_ROOM - 1)
        n = HW_ROOM - 1;
    if (payload[0] == SPACE_DESCRIPTION)
        return 1 + hal_describe(offset, reply + 1, n);
    if (payload[0] != SPACE_UID || offset)
        return hw_fail(reply, HW_INVALID);
    hal_identity(reply + 1);
    return 1 + (n < UID_SIZE ? n : UID_SIZE);
}

/* The UID is written whole or not at all. */
static uint8_t write_space(const uint8_t *payload, uint8_t n, uint8_t *reply)
{
#if HW_CAPABILITIES & HW_CAP_UID
    if (payload[0] == SPACE_UID && n == SPACE_HEAD + UID_SIZE && !hw_get32(payload + 1))
        reply[0] = hal_write_uid(payload + SPACE_HEAD);
    else
#endif
        reply[0] = HW_INVALID;
    (void)payload, (void)n;
    return 1;
}

static uint8_t set_baud(const uint8_t *payload, uint8_t *reply)
{
#if HW_CAPABILITIES & HW_CAP_SET_BAUD
    uint32_t baud = hw_get32(payload);
    if (!(HW_CAPABILITIES_NOW & HW_CAP_SET_BAUD))
        reply[0] = HW_UNSUPPORTED;
    else if (hal_can_baud(baud))
        hw_after_reply(HW_SET_BAUD, baud);
    else
        reply[0] = HW_INVALID;
#else
    (void)payload;
    reply[0] = HW_UNSUPPORTED;
#endif
    return 1;
}

static uint8_t reset(const uint8_t *payload, uint8_t *reply)
{
#if HW_CAPABILITIES & HW_CAP_RESET
#if HW_CAPABILITIES & HW_CAP_BOOT_LOADER
    uint8_t kinds = 2;
#else
    uint8_t kinds = 1;
#endif
    if (payload[0] < kinds)
        hw_after_reply(HW_RESET, payload[0]);
    else
        reply[0] = HW_INVALID;
#else
    (void)payload;
    reply[0] = HW_UNSUPPORTED;
#endif
    return 1;
}

/* Requests of the buses come in groups of eight; the group is the kind of bus. */
static uint8_t bus(uint8_t type, uint8_t *payload, uint8_t n, uint8_t *reply)
{
    switch (type & ~7) {
#if HW_CAPABILITIES & HW_CAP_I2C
    case HW_I2C_CONFIG:
        return hw_i2c_execute(type, payload, n, reply);
#endif
#if HW_CAPABILITIES & HW_CAP_SPI
    case HW_SPI_CONFIG:
        return hw_spi_execute(type, payload, n, reply);
#endif
#if HW_CAPABILITIES & HW_CAP_UART
    case HW_UART_CONFIG:
        return hw_uart_execute(type, payload, n, reply);
#endif
#if HW_CAPABILITIES & HW_CAP_GPIO
    case HW_GPIO_CONFIG:
        return hw_gpio_execute(type, payload, n, reply);
#endif
#if HW_CAPABILITIES & HW_CAP_CAN
    case HW_CAN_CONFIG:
        return hw_can_execute(type, payload, n, reply);
#endif
#if HW_CAPABILITIES & (HW_CAP_I2C_TARGET | HW_CAP_SPI_TARGET)
    case HW_TARGET_CONFIG:
        if (!(HW_CAPABILITIES_NOW & (HW_CAP_I2C_TARGET | HW_CAP_SPI_TARGET)))
            return hw_fail(reply, HW_UNSUPPORTED);
        return hw_target_execute(type, payload, n, reply);
#endif
    default:
        (void)payload, (void)n;
        return hw_fail(reply, HW_UNSUPPORTED);
    }
}

/* The least payload of each request of the system, from HW_HELLO on. */
static uint8_t least(uint8_t type)
{
    switch (type) {
    case HW_SET_BAUD:
        return 4;
    case HW_RESET:
        return 1;
    case HW_READ:
    case HW_WRITE:
        return SPACE_HEAD + 1;
    default:
        return 0;
    }
}

uint8_t hw_execute(uint8_t type, uint8_t *payload, uint8_t n, uint8_t *reply)
{
    reply[0] = HW_OK;
    if (n < least(type))
        return hw_fail(reply, HW_INVALID);
    switch (type) {
    case HW_PING:
        if (n == HW_ROOM) /* no room for it behind the status */
            return hw_fail(reply, HW_INVALID);
        for (uint8_t i = 0; i < n; i++)
            reply[1 + i] = payload[i];
        return 1 + n;
    case HW_TIME:
        return time(reply);
    case HW_STATS:
        return statistics(reply);
    case HW_SET_BAUD:
        return set_baud(payload, reply);
    case HW_RESET:
        return reset(payload, reply);
    case HW_READ:
        return read_space(payload, reply);
    case HW_WRITE:
        return write_space(payload, n, reply);
    default:
        return bus(type, payload, n, reply);
    }
}
