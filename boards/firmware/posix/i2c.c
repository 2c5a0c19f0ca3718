/* I2C of this computer through i2c-dev. The kernel takes a transaction whole, so messages that are
 * held without a STOP are gathered until the request that ends it; what would have to be read before
 * that cannot be held. It names neither the message nor the octet that failed: the first, none. */
#define _GNU_SOURCE
#include "hal.h"
#include "hilwire.h"
#include "posix.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

enum { BUSES = 255, HEAD = 2, MESSAGE_HEAD = 3, REPLY_HEAD = 7, ARENA = 8192, TIMEOUT_10MS = 9 };

static int fds[BUSES]; /* descriptor + 1 */
static struct {
    struct i2c_msg messages[I2C_RDWR_IOCTL_MAX_MSGS];
    unsigned n, nbytes;
    uint8_t arena[ARENA];
    int bus; /* whose messages are held, -1: none */
} held = {.bus = -1};

static int open_bus(uint8_t bus)
{
    char name[16], path[32];
    if (fds[bus])
        return fds[bus] - 1;
    snprintf(name, sizeof name, "i2c%u", bus);
    snprintf(path, sizeof path, "/dev/i2c-%u", bus);
    int fd = posix_open(name, path, O_RDWR);
    if (fd < 0)
        return fd;
    ioctl(fd, I2C_TIMEOUT, TIMEOUT_10MS);
    ioctl(fd, I2C_RETRIES, 0);
    fds[bus] = fd + 1;
    return fd;
}

uint32_t hal_i2c_config(uint8_t bus, uint32_t hz)
{
    char path[80];
    uint8_t set[4];
    if (open_bus(bus) < 0)
        return 0;
    snprintf(path, sizeof path, "/sys/class/i2c-adapter/i2c-%u/of_node/clock-frequency", bus);
    FILE *file = fopen(path, "rb");
    if (file) { /* of the device tree, most significant octet first; not ours to change */
        if (fread(set, 1, sizeof set, file) == sizeof set)
            hz = (uint32_t)set[0] << 24 | (uint32_t)set[1] << 16 | (uint32_t)set[2] << 8 | set[3];
        fclose(file);
    }
    return hz;
}

uint8_t hal_i2c_recover(uint8_t bus) { return open_bus(bus) < 0 ? HW_ABSENT : HW_UNSUPPORTED; }

/* Linux kernel, Documentation/i2c/fault-codes.rst; drivers differ in what a missing ACK is. */
static uint8_t status_of(int error)
{
    switch (error) {
    case ENXIO:
    case EREMOTEIO:
        return HW_NAK_ADDRESS;
    case EAGAIN:
        return HW_ARBITRATION_LOST;
    case ETIMEDOUT:
        return HW_TIMEOUT;
    case EBUSY:
        return HW_STUCK;
    case EOPNOTSUPP:
        return HW_UNSUPPORTED;
    case EINVAL:
        return HW_INVALID;
    case ENODEV:
        return HW_ABSENT;
    default:
        return HW_NAK_DATA;
    }
}

/* Put one message behind those held; data of reads goes to *out. */
static uint8_t add(const uint8_t *p, uint8_t **out)
{
    uint16_t address = (uint16_t)(p[0] | p[1] << 8);
    uint8_t read = p[1] >> 7, n = p[2];
    struct i2c_msg *m = &held.messages[held.n];
    if (held.nbytes + n > ARENA)
        return HW_INVALID;
    if (address & HW_I2C_NOSTART && held.n && (m[-1].flags & I2C_M_RD) == read * I2C_M_RD) {
        m[-1].len += n; /* the octets lie side by side */
    } else if (address & HW_I2C_NOSTART || held.n == I2C_RDWR_IOCTL_MAX_MSGS) {
        return HW_INVALID;
    } else {
        m->addr = address & 0x3FF;
        m->flags = (uint16_t)(read * I2C_M_RD | (address & HW_I2C_TEN ? I2C_M_TEN : 0));
        m->len = n;
        m->buf = read ? *out : held.arena + held.nbytes;
        held.n++;
    }
    if (read) {
        *out += n;
    } else {
        memcpy(held.arena + held.nbytes, p + MESSAGE_HEAD, n);
        held.nbytes += n;
    }
    return HW_OK;
}

uint8_t hal_i2c_stop(uint8_t bus)
{
    if (held.bus == bus)
        held.bus = -1;
    return HW_OK;
}

uint8_t hal_i2c_xfer(const uint8_t *payload, uint8_t n, uint8_t *reply)
{
    const uint8_t *p = payload + HEAD, *end = payload + n;
    uint8_t *out = reply + REPLY_HEAD, status = HW_OK, flags = payload[1];
    int fd = open_bus(payload[0]);
    if (fd < 0)
        return hw_fail(reply, HW_ABSENT);
    if (held.bus != payload[0])
        held.n = held.nbytes = 0;
    held.bus = payload[0];
    hw_put32(reply + 1, hal_micros());
    reply[5] = reply[6] = 0xFF;
    for (; p < end && !status; p += MESSAGE_HEAD + (p[1] >> 7 ? 0 : p[2]))
        status = add(p, &out);
    if (!status && flags & HW_HOLD) {
        if (out == reply + REPLY_HEAD)
            return REPLY_HEAD;
        status = HW_UNSUPPORTED;
    }
    struct i2c_rdwr_ioctl_data all = {held.messages, held.n};
    if (!status && held.n && ioctl(fd, I2C_RDWR, &all) < 0)
        status = status_of(errno);
    held.bus = -1;
    reply[0] = status;
    if (!status)
        return (uint8_t)(out - reply);
    reply[5] = reply[6] = 0;
    return REPLY_HEAD;
}
