/* SMBus, made of I2C messages as the kernel makes it. */
#include "shim.h"

#include <linux/i2c-dev.h>
#include <linux/i2c.h>

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

/* Run an SMBus protocol whose data, if any, is a copy. */
static int run(hil_handle *handle, int fd, const struct i2c_smbus_ioctl_data *asked)
{
    uint8_t out[I2C_SMBUS_BLOCK_MAX + 4], in[I2C_SMBUS_BLOCK_MAX + 4];
    uint16_t ten = handle->i2c.ten_bit ? I2C_M_TEN : 0;
    struct i2c_msg message[2] = {{handle->i2c.address, ten, 0, out},
                                 {handle->i2c.address, (uint16_t)(ten | I2C_M_RD), 0, in}};
    int count = expand(asked, message);
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
    int result = hil_i2c_transfer(handle, fd, message, (unsigned)count, &hil_own);
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

/* Octets of the program's data that a protocol looks at, as in i2cdev_ioctl_smbus(). */
static size_t data_nbytes(const struct i2c_smbus_ioctl_data *asked)
{
    switch (asked->size) {
    case I2C_SMBUS_QUICK:
        return 0;
    case I2C_SMBUS_BYTE:
        return asked->read_write == I2C_SMBUS_READ ? 1 : 0;
    case I2C_SMBUS_BYTE_DATA:
        return 1;
    case I2C_SMBUS_WORD_DATA:
    case I2C_SMBUS_PROC_CALL:
        return 2;
    default:
        return sizeof asked->data->block;
    }
}

int hil_i2c_smbus(hil_handle *handle, int fd, const void *argument)
{
    struct i2c_smbus_ioctl_data asked;
    union i2c_smbus_data data = {0};
    if (hil_theirs->fetch(&asked, argument, sizeof asked) < 0) {
        return -EFAULT;
    }
    union i2c_smbus_data *theirs = asked.data;
    size_t nbytes = theirs ? data_nbytes(&asked) : 0;
    bool call = asked.size == I2C_SMBUS_PROC_CALL || asked.size == I2C_SMBUS_BLOCK_PROC_CALL;
    bool read = asked.read_write == I2C_SMBUS_READ;
    bool in = !read || call || asked.size == I2C_SMBUS_I2C_BLOCK_DATA;
    if (in && hil_theirs->fetch(&data, theirs, nbytes) < 0) {
        return -EFAULT;
    }
    asked.data = theirs ? &data : NULL;
    int result = run(handle, fd, &asked);
    return result == 0 && (read || call) ? hil_theirs->store(theirs, &data, nbytes) : result;
}
