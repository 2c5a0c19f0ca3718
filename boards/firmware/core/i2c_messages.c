/* I2C as controller: the messages of one I2C_XFER on the primitives of the HAL.
 *
 * A request is looked through before the first START, so that one that is malformed touches no
 * wire. Every wait is the HAL's and bounded; the first failure ends the transaction with a STOP. */
#include "hal.h"
#include "hilwire.h"

enum { XFER_HEAD = 2, MESSAGE_HEAD = 3, REPLY_HEAD = 7, NONE = 0xFF };
/* Of a bus between two requests, or of a message: what may go on without a START. */
enum { FREE, WRITE, READ, ENDED };

#if HW_CAPABILITIES & HW_CAP_I2C

static uint8_t held[HW_I2C_BUSES];

/* HW_OK if these messages are well formed and at most room octets are read; *before is what the
 * first may go on with, and becomes what may go on behind the last. */
static uint8_t check(const uint8_t *message, uint8_t n, uint8_t room, uint8_t *before)
{
    while (n) {
        uint8_t length, direction;
        if (n < MESSAGE_HEAD)
            return HW_INVALID;
        n -= MESSAGE_HEAD;
        length = message[2];
        direction = message[1] & HW_I2C_READ >> 8 ? READ : WRITE;
        if (message[1] & HW_I2C_NOSTART >> 8 && direction != *before)
            return HW_INVALID;
        *before = direction;
        if (message[1] & HW_I2C_TEN >> 8 && !(HW_CAPABILITIES & HW_CAP_I2C_TEN))
            return HW_UNSUPPORTED;
        if (direction == READ) {
            if (length > room)
                return HW_INVALID;
            room -= length;
        } else {
            if (length > n)
                return HW_INVALID;
            n -= length;
            message += length;
        }
        message += MESSAGE_HEAD;
    }
    return HW_OK;
}

#ifndef HW_I2C_WHOLE

static uint8_t address_phase(uint8_t bus, const uint8_t *message)
{
    uint8_t read = message[1] >> 7;
#if HW_CAPABILITIES & HW_CAP_I2C_TEN
    if (message[1] & HW_I2C_TEN >> 8) {
        uint8_t first = (uint8_t)(0xF0 | (message[1] & 3) << 1);
        uint8_t status = hal_i2c_start(bus, first);
        if (!status)
            status = hal_i2c_write(bus, message[0]);
        if (!status && read)
            status = hal_i2c_start(bus, first | 1);
        return status == HW_NAK_DATA ? HW_NAK_ADDRESS : status;
    }
#endif
    return hal_i2c_start(bus, (uint8_t)(message[0] << 1 | read));
}

/* Run the messages from p to end; go_on: more of the last one follows in another request. */
static uint8_t transfer(uint8_t bus, const uint8_t *p, const uint8_t *end, uint8_t go_on,
                        uint8_t *reply)
{
    uint8_t *out = reply + REPLY_HEAD;
    uint8_t status = HW_OK;
    for (uint8_t index = 0; p < end && !status; index++) {
        uint8_t read = p[1] >> 7, n = p[2], taken = 0, joined;
        if (!(p[1] & HW_I2C_NOSTART >> 8))
            status = address_phase(bus, p);
        p += MESSAGE_HEAD;
        joined = read ? p < end ? p[1] & HW_I2C_NOSTART >> 8 : go_on : 0;
        while (!status && taken < n) {
            status = read ? hal_i2c_read(bus, joined || taken + 1 < n, out)
                          : hal_i2c_write(bus, p[taken]);
            if (status)
                break;
            out += read;
            taken++;
        }
        if (status) {
            reply[5] = taken;
            reply[6] = index;
        }
        if (!read)
            p += n;
    }
    reply[0] = status;
    return (uint8_t)(out - reply);
}

static uint8_t xfer(uint8_t *payload, uint8_t n, uint8_t *reply)
{
    uint8_t bus = payload[0], flags = payload[1], status;
    hw_put32(reply + 1, hal_micros());
    reply[5] = reply[6] = NONE;
    n = transfer(bus, payload + XFER_HEAD, payload + n, flags & HW_GO_ON, reply);
    if (!reply[0] && flags & HW_HOLD)
        return n;
    status = hal_i2c_stop(bus);
    if (!reply[0])
        reply[0] = status;
    return n;
}
#endif

void hw_i2c_let_go(void)
{
    for (uint8_t bus = 0; bus < HW_I2C_BUSES; bus++) {
        if (held[bus])
            hal_i2c_stop(bus);
        held[bus] = FREE;
    }
}

static uint8_t xfer_request(uint8_t *payload, uint8_t n, uint8_t *reply)
{
    uint8_t *state = &held[payload[0]], flags = payload[1], behind = *state;
    reply[0] = check(payload + XFER_HEAD, n - XFER_HEAD, HW_ROOM - REPLY_HEAD, &behind);
    if (reply[0])
        return 1;
#ifdef HW_I2C_WHOLE
    n = hal_i2c_xfer(payload, n, reply);
#else
    n = xfer(payload, n, reply);
#endif
    if (behind == READ && !(flags & HW_GO_ON))
        behind = ENDED;
    *state = reply[0] || !(flags & HW_HOLD) ? FREE : behind;
    return n;
}

uint8_t hw_i2c_execute(uint8_t type, uint8_t *payload, uint8_t n, uint8_t *reply)
{
    uint32_t hz;
    if (n < (type == HW_I2C_CONFIG ? 5 : type == HW_I2C_XFER ? 2 : 1))
        return hw_fail(reply, HW_INVALID);
    if (payload[0] >= HW_I2C_BUSES)
        return hw_fail(reply, HW_ABSENT);
    switch (type) {
    case HW_I2C_CONFIG:
        hz = hal_i2c_config(payload[0], hw_get32(payload + 1));
        hw_put32(reply + 1, hz);
        return hz ? 5 : hw_fail(reply, HW_INVALID);
    case HW_I2C_XFER:
        return xfer_request(payload, n, reply);
    case HW_I2C_RECOVER:
        held[payload[0]] = FREE;
        return hw_fail(reply, hal_i2c_recover(payload[0]));
    default:
        return hw_fail(reply, HW_UNSUPPORTED);
    }
}
#endif
