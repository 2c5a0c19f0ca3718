/* /dev/i2c-N: the ioctls of i2c-dev. */
#include "shim.h"

#include <linux/i2c-dev.h>
#include <linux/i2c.h>

#define HEAD 6 /* u16 address, u16 flags, u16 length */
#define DEV_MESSAGE 8192 /* i2c-dev takes no longer one */

/* Write a message and its octets; NULL where those cannot be read. */
static uint8_t *put_message(uint8_t *at, const struct i2c_msg *message, const hil_memory *memory)
{
    uint16_t length = message->len;
    uint16_t flags = (message->flags & I2C_M_RD ? 1 : 0) | (message->flags & I2C_M_TEN ? 2 : 0) |
                     (message->flags & I2C_M_RECV_LEN ? 4 : 0);
    uint16_t head[3] = {message->addr, flags, length};
    memcpy(at, head, HEAD);
    if (message->flags & I2C_M_RD) {
        return at + HEAD;
    }
    return memory->fetch(at + HEAD, message->buf, length) < 0 ? NULL : at + HEAD + length;
}

/* Take the octets read out of a reply. */
static int take_reply(const uint8_t *at, const uint8_t *end, struct i2c_msg *messages, unsigned count,
                      const hil_memory *memory)
{
    int error = 0;
    for (unsigned i = 0; i < count; i++) {
        struct i2c_msg *message = &messages[i];
        uint16_t length;
        if (end - at < HEAD) {
            return -EPROTO;
        }
        memcpy(&length, at + 4, 2);
        at += HEAD;
        if (end - at < length) {
            return -EPROTO;
        }
        if (message->flags & I2C_M_RECV_LEN) {
            if (!length || length > I2C_SMBUS_BLOCK_MAX + 2) {
                return -EPROTO;
            }
            message->len = length; /* count octet, block, and PEC if any */
            error = memory->store(message->buf, at, length);
        } else if (message->flags & I2C_M_RD) {
            error = memory->store(message->buf, at, length < message->len ? length : message->len);
        }
        if (error) {
            return error;
        }
        at += length;
    }
    return (int)count;
}

int hil_i2c_transfer(hil_handle *handle, int fd, struct i2c_msg *messages, unsigned count,
                     const hil_memory *memory)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned odd = messages[i].flags & ~(I2C_M_RD | I2C_M_TEN | I2C_M_RECV_LEN | I2C_M_DMA_SAFE);
        if (odd) {
            hil_tell("I2C message flag", odd, handle);
            return -EOPNOTSUPP;
        }
    }
    uint8_t *payload = hil_begin(handle), *at = payload;
    for (unsigned i = 0; at && i < count; i++) {
        at = put_message(at, &messages[i], memory);
    }
    int result = -EFAULT;
    if (at) {
        result = hil_call(handle, fd, KIND_I2C, messages[0].addr, (size_t)(at - payload));
    }
    if (result >= 0) {
        result = take_reply(payload, payload + result, messages, count, memory);
    }
    hil_end(handle);
    return result;
}

static int rdwr(hil_handle *handle, int fd, const void *argument)
{
    struct i2c_rdwr_ioctl_data asked;
    struct i2c_msg messages[I2C_RDWR_IOCTL_MAX_MSGS];
    if (!(handle->i2c.functions & I2C_FUNC_I2C)) {
        return -EOPNOTSUPP; /* an adapter that does SMBus and nothing else */
    }
    int result = hil_theirs->fetch(&asked, argument, sizeof asked);
    if (result < 0 || !asked.msgs || !asked.nmsgs || asked.nmsgs > I2C_RDWR_IOCTL_MAX_MSGS) {
        return result < 0 ? result : -EINVAL;
    }
    result = hil_theirs->fetch(messages, asked.msgs, asked.nmsgs * sizeof *messages);
    for (unsigned i = 0; result == 0 && i < asked.nmsgs; i++) {
        if (messages[i].len > DEV_MESSAGE) {
            return -EINVAL;
        }
        if (messages[i].flags & I2C_M_RECV_LEN) {
            uint8_t extra = 0;
            if (hil_theirs->fetch(&extra, messages[i].buf, 1) < 0) {
                return -EFAULT;
            }
            if (!(messages[i].flags & I2C_M_RD) || !extra || messages[i].len < extra + I2C_SMBUS_BLOCK_MAX) {
                return -EINVAL;
            }
            messages[i].len = extra;
        }
    }
    return result < 0 ? result : hil_i2c_transfer(handle, fd, messages, asked.nmsgs, hil_theirs);
}

int hil_i2c_ioctl(hil_handle *handle, int fd, uint32_t request, void *argument)
{
    unsigned long value = (unsigned long)argument;
    switch (request) {
    case I2C_SLAVE:
    case I2C_SLAVE_FORCE:
        if (value > (handle->i2c.ten_bit ? 0x3ff : 0x7f)) {
            return -EINVAL;
        }
        if (request == I2C_SLAVE && !handle->i2c.ten_bit && handle->i2c.held[value / 8] >> value % 8 & 1) {
            return -EBUSY; /* a driver of the kernel has it */
        }
        handle->i2c.address = (uint16_t)value;
        return 0;
    case I2C_TENBIT:
        handle->i2c.ten_bit = value;
        return 0;
    case I2C_PEC:
        handle->i2c.pec = value;
        return 0;
    case I2C_FUNCS:
        value = handle->i2c.functions;
        return hil_theirs->store(argument, &value, sizeof value);
    case I2C_RDWR:
        return rdwr(handle, fd, argument);
    case I2C_SMBUS:
        return hil_i2c_smbus(handle, fd, argument);
    case I2C_RETRIES:
    case I2C_TIMEOUT: /* taken: the bench never retries, and a stuck line ends by its own time */
        return value > 0x7fffffff ? -EINVAL : 0;
    default:
        return -ENOTTY;
    }
}

static ssize_t plain(hil_handle *handle, int fd, void *octets, size_t nbytes, uint16_t flags)
{
    struct i2c_msg message = {.addr = handle->i2c.address, .buf = octets};
    if (!(handle->i2c.functions & I2C_FUNC_I2C)) {
        return -EOPNOTSUPP;
    }
    message.len = (uint16_t)(nbytes > DEV_MESSAGE ? DEV_MESSAGE : nbytes);
    message.flags = flags | (handle->i2c.ten_bit ? I2C_M_TEN : 0);
    int result = hil_i2c_transfer(handle, fd, &message, 1, hil_theirs);
    return result < 0 ? result : message.len;
}

ssize_t hil_i2c_read(hil_handle *handle, int fd, void *octets, size_t nbytes)
{
    return plain(handle, fd, octets, nbytes, I2C_M_RD);
}

ssize_t hil_i2c_write(hil_handle *handle, int fd, const void *octets, size_t nbytes)
{
    return plain(handle, fd, (void *)octets, nbytes, 0);
}
