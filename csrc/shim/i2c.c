/* /dev/i2c-N: the ioctls of i2c-dev, and SMBus made of I2C messages as the kernel makes it. */
#include "shim.h"

#include <linux/i2c-dev.h>
#include <linux/i2c.h>

#define HEAD 6 /* u16 address, u16 flags, u16 length */
#define DEV_MESSAGE 8192 /* i2c-dev takes no longer one */

static uint8_t *put_message(uint8_t *at, const struct i2c_msg *message)
{
    uint16_t length = message->len;
    uint16_t flags = (message->flags & I2C_M_RD ? 1 : 0) | (message->flags & I2C_M_TEN ? 2 : 0) |
                     (message->flags & I2C_M_RECV_LEN ? 4 : 0);
    uint16_t head[3] = {message->addr, flags, length};
    memcpy(at, head, HEAD);
    if (!(message->flags & I2C_M_RD)) {
        memcpy(at + HEAD, message->buf, length);
        return at + HEAD + length;
    }
    return at + HEAD;
}

/* Take the octets read out of a reply. */
static int take_reply(const uint8_t *at, const uint8_t *end, struct i2c_msg *messages, unsigned count)
{
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
            memcpy(message->buf, at, length);
        } else if (message->flags & I2C_M_RD) {
            memcpy(message->buf, at, length < message->len ? length : message->len);
        }
        at += length;
    }
    return (int)count;
}

/* Run messages as one transaction. Returns `count` or a negative errno. */
static int transfer(hil_handle *handle, int fd, struct i2c_msg *messages, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned odd = messages[i].flags & ~(I2C_M_RD | I2C_M_TEN | I2C_M_RECV_LEN | I2C_M_DMA_SAFE);
        if (odd) {
            hil_tell("I2C message flag", odd, handle);
            return -EOPNOTSUPP;
        }
    }
    uint8_t *payload = hil_begin(handle), *at = payload;
    for (unsigned i = 0; i < count; i++) {
        at = put_message(at, &messages[i]);
    }
    int result = hil_call(handle, fd, KIND_I2C, messages[0].addr, (size_t)(at - payload));
    if (result >= 0) {
        result = take_reply(payload, payload + result, messages, count);
    }
    hil_end(handle);
    return result;
}

static int rdwr(hil_handle *handle, int fd, struct i2c_rdwr_ioctl_data *asked)
{
    struct i2c_msg messages[I2C_RDWR_IOCTL_MAX_MSGS];
    if (!(handle->i2c.functions & I2C_FUNC_I2C)) {
        return -EOPNOTSUPP; /* an adapter that does SMBus and nothing else */
    }
    if (!asked || !asked->msgs || !asked->nmsgs || asked->nmsgs > I2C_RDWR_IOCTL_MAX_MSGS) {
        return -EINVAL;
    }
    for (unsigned i = 0; i < asked->nmsgs; i++) {
        messages[i] = asked->msgs[i];
        if (messages[i].len > DEV_MESSAGE) {
            return -EINVAL;
        }
        if (messages[i].flags & I2C_M_RECV_LEN) {
            uint8_t extra = messages[i].buf ? messages[i].buf[0] : 0;
            if (!(messages[i].flags & I2C_M_RD) || !extra || messages[i].len < extra + I2C_SMBUS_BLOCK_MAX) {
                return -EINVAL;
            }
            messages[i].len = extra;
        }
    }
    int result = transfer(handle, fd, messages, asked->nmsgs);
    for (unsigned i = 0; result >= 0 && i < asked->nmsgs; i++) {
        asked->msgs[i].len = messages[i].len;
    }
    return result;
}

/* SMBus packet error check: CRC-8, x^8 + x^2 + x + 1 (SMBus 3.1, section 6.4.1.3). */
static uint8_t pec_of(uint8_t crc, const uint8_t *octets, size_t nbytes)
{
    while (nbytes--) {
        crc ^= *octets++;
        for (int i = 0; i < 8; i++) {
            crc = (uint8_t)(crc << 1 ^ (crc & 0x80 ? 0x07 : 0));
        }
    }
    return crc;
}

static uint8_t pec_of_message(uint8_t crc, const struct i2c_msg *message, size_t nbytes)
{
    uint8_t address = (uint8_t)(message->addr << 1 | (message->flags & I2C_M_RD));
    return pec_of(pec_of(crc, &address, 1), message->buf, nbytes);
}

/* Fill in the messages of an SMBus protocol; return how many, or a negative errno. */
static int expand(const struct i2c_smbus_ioctl_data *asked, struct i2c_msg message[2])
{
    bool read = asked->read_write == I2C_SMBUS_READ;
    union i2c_smbus_data *data = asked->data;
    uint8_t *out = message[0].buf;
    out[0] = asked->command;
    message[0].len = 1;
    if (asked->size != I2C_SMBUS_QUICK && !data && (read || asked->size != I2C_SMBUS_BYTE)) {
        return -EINVAL;
    }
    switch (asked->size) {
    case I2C_SMBUS_QUICK:
        message[0].len = 0;
        message[0].flags |= read ? I2C_M_RD : 0;
        return 1;
    case I2C_SMBUS_BYTE:
        message[0].flags |= read ? I2C_M_RD : 0;
        return 1;
    case I2C_SMBUS_BYTE_DATA:
        message[1].len = 1;
        out[1] = read ? 0 : data->byte;
        message[0].len = read ? 1 : 2;
        return read ? 2 : 1;
    case I2C_SMBUS_PROC_CALL:
    case I2C_SMBUS_WORD_DATA:
        message[1].len = 2;
        if (!read || asked->size == I2C_SMBUS_PROC_CALL) {
            out[1] = (uint8_t)data->word;
            out[2] = (uint8_t)(data->word >> 8);
            message[0].len = 3;
        }
        return read || asked->size == I2C_SMBUS_PROC_CALL ? 2 : 1;
    case I2C_SMBUS_BLOCK_DATA:
    case I2C_SMBUS_BLOCK_PROC_CALL:
        message[1].len = 1;
        message[1].flags |= I2C_M_RECV_LEN;
        if (read && asked->size == I2C_SMBUS_BLOCK_DATA) {
            return 2;
        }
        if (data->block[0] > I2C_SMBUS_BLOCK_MAX) {
            return -EINVAL;
        }
        memcpy(out + 1, data->block, data->block[0] + 1u);
        message[0].len = (uint16_t)(data->block[0] + 2);
        return asked->size == I2C_SMBUS_BLOCK_PROC_CALL ? 2 : 1;
    case I2C_SMBUS_I2C_BLOCK_BROKEN:
    case I2C_SMBUS_I2C_BLOCK_DATA:
        if (read && asked->size == I2C_SMBUS_I2C_BLOCK_BROKEN) {
            data->block[0] = I2C_SMBUS_BLOCK_MAX;
        }
        if (data->block[0] < 1 || data->block[0] > I2C_SMBUS_BLOCK_MAX) {
            return -EINVAL;
        }
        message[1].len = data->block[0];
        memcpy(out + 1, data->block + 1, data->block[0]);
        message[0].len = (uint16_t)(read ? 1 : data->block[0] + 1);
        return read ? 2 : 1;
    default:
        return -EINVAL;
    }
}

static void deliver(const struct i2c_smbus_ioctl_data *asked, const struct i2c_msg *last)
{
    const uint8_t *in = last->buf;
    union i2c_smbus_data *data = asked->data;
    switch (asked->size) {
    case I2C_SMBUS_BYTE:
    case I2C_SMBUS_BYTE_DATA:
        data->byte = in[0];
        break;
    case I2C_SMBUS_WORD_DATA:
    case I2C_SMBUS_PROC_CALL:
        data->word = (uint16_t)(in[0] | in[1] << 8);
        break;
    case I2C_SMBUS_BLOCK_DATA:
    case I2C_SMBUS_BLOCK_PROC_CALL:
        memcpy(data->block, in, in[0] + 1u);
        break;
    case I2C_SMBUS_I2C_BLOCK_BROKEN:
    case I2C_SMBUS_I2C_BLOCK_DATA:
        memcpy(data->block + 1, in, last->len);
        break;
    }
}

static int smbus(hil_handle *handle, int fd, struct i2c_smbus_ioctl_data *asked)
{
    uint8_t out[I2C_SMBUS_BLOCK_MAX + 4], in[I2C_SMBUS_BLOCK_MAX + 4];
    uint16_t ten = handle->i2c.ten_bit ? I2C_M_TEN : 0;
    struct i2c_msg message[2] = {{handle->i2c.address, ten, 0, out},
                                 {handle->i2c.address, (uint16_t)(ten | I2C_M_RD), 0, in}};
    int count = asked ? expand(asked, message) : -EINVAL;
    if (count < 0) {
        return count;
    }
    struct i2c_msg *last = &message[count - 1];
    bool reads = last->flags & I2C_M_RD;
    if (reads && count == 1) {
        last->buf = in;
    }
    /* As in the kernel: no check on quick and on plain I2C blocks. */
    bool pec = handle->i2c.pec && asked->size != I2C_SMBUS_QUICK && asked->size != I2C_SMBUS_I2C_BLOCK_DATA;
    uint8_t crc = 0;
    if (pec && !(message[0].flags & I2C_M_RD)) {
        crc = pec_of_message(0, &message[0], message[0].len);
        if (count == 1) {
            message[0].buf[message[0].len++] = crc;
        }
    }
    last->len += pec && reads ? 1 : 0;
    int result = transfer(handle, fd, message, (unsigned)count);
    if (result < 0) {
        return result;
    }
    if (pec && reads) {
        last->len--;
        if (pec_of_message(crc, last, last->len) != last->buf[last->len]) {
            return -EBADMSG;
        }
    }
    if (reads && asked->data) {
        deliver(asked, last);
    }
    return 0;
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
        handle->i2c.address = (uint16_t)value;
        return 0;
    case I2C_TENBIT:
        handle->i2c.ten_bit = value;
        return 0;
    case I2C_PEC:
        handle->i2c.pec = value;
        return 0;
    case I2C_FUNCS:
        *(unsigned long *)argument = handle->i2c.functions;
        return 0;
    case I2C_RDWR:
        return rdwr(handle, fd, argument);
    case I2C_SMBUS:
        return smbus(handle, fd, argument);
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
    int result = transfer(handle, fd, &message, 1);
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
