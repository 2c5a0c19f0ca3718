/* /dev/spidevB.C: the ioctls of spidev. Mode, word size and clock belong to the device, as in the
 * kernel, and not to the open file: the bench keeps them. */
#include "shim.h"

#include <linux/spi/spidev.h>

#define HEAD 12 /* u32 length, u32 speed_hz, u8 bits, u8 flags, u16 delay_us */
#define SETTINGS 9
enum { CS_CHANGE = 1, DUAL = 2, QUAD = 4, RECEIVE = 8 };

/* Write a segment and its octets; NULL where those cannot be read. */
static uint8_t *put_segment(uint8_t *at, const struct spi_ioc_transfer *one)
{
    unsigned lines = one->tx_buf && one->tx_nbits > 1 ? one->tx_nbits : one->rx_nbits;
    uint16_t delay = one->delay_usecs;
    memcpy(at, &one->len, 4);
    memcpy(at + 4, &one->speed_hz, 4);
    at[8] = one->bits_per_word;
    at[9] = (uint8_t)((one->cs_change ? CS_CHANGE : 0) | (lines == 2 ? DUAL : lines == 4 ? QUAD : 0) |
                      (one->rx_buf && !one->tx_buf ? RECEIVE : 0));
    memcpy(at + 10, &delay, 2);
    if (one->tx_buf) {
        if (hil_theirs->fetch(at + HEAD, (const void *)(uintptr_t)one->tx_buf, one->len) < 0) {
            return NULL;
        }
    } else {
        memset(at + HEAD, 0, one->len);
    }
    return at + HEAD + one->len;
}

/* Exchange segments under one chip select; return the octets exchanged, or a negative errno. */
static int transfer(hil_handle *handle, int fd, const struct spi_ioc_transfer *segments, unsigned count)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < count; i++) {
        total += segments[i].len;
        if (segments[i].word_delay_usecs) {
            hil_tell("word_delay_usecs", segments[i].word_delay_usecs, handle);
            return -EOPNOTSUPP;
        }
    }
    if (total > handle->spi.limit) {
        return -EMSGSIZE;
    }
    if (!count || !total) {
        return 0;
    }
    uint8_t *payload = hil_begin(handle), *at = payload;
    for (unsigned i = 0; at && i < count; i++) {
        at = put_segment(at, &segments[i]);
    }
    size_t nbytes = at ? (size_t)(at - payload) : 0;
    int result = at ? hil_call(handle, fd, KIND_SPI, handle->chip_select, nbytes) : -EFAULT;
    if (result >= 0 && (size_t)result != nbytes + total) {
        result = -EPROTO;
    }
    at = payload;
    for (unsigned i = 0; result >= 0 && i < count; i++) {
        uint32_t length = segments[i].len;
        void *received = (void *)(uintptr_t)segments[i].rx_buf;
        int error = received ? hil_theirs->store(received, at + HEAD + length, length) : 0;
        result = error ? error : result;
        at += HEAD + 2 * length;
    }
    hil_end(handle);
    return result < 0 ? result : (int)total;
}

/* Tell the bench the settings of the device, or with `change` false only ask for them. */
static int settings(hil_handle *handle, int fd, bool change)
{
    uint8_t *payload = hil_begin(handle);
    memcpy(payload, &handle->spi.mode, 4);
    memcpy(payload + 4, &handle->spi.speed_hz, 4);
    payload[8] = handle->spi.bits;
    int result = hil_call(handle, fd, KIND_OPEN, handle->chip_select, change ? SETTINGS : 0);
    if (result >= 0) {
        hil_learn(handle, result);
    }
    hil_end(handle);
    return result < 0 ? result : 0;
}

static int put_mode(hil_handle *handle, int fd, uint32_t mode)
{
    uint32_t odd = mode & ~(uint32_t)(SPI_CPHA | SPI_CPOL | SPI_CS_HIGH | SPI_LSB_FIRST | SPI_3WIRE |
                                      SPI_TX_DUAL | SPI_TX_QUAD | SPI_RX_DUAL | SPI_RX_QUAD);
    if (odd) {
        hil_tell("SPI mode", odd, handle);
        return -EOPNOTSUPP;
    }
    handle->spi.mode = mode;
    return settings(handle, fd, true);
}

static int write_setting(hil_handle *handle, int fd, uint32_t request, const void *argument)
{
    uint8_t octet = 0;
    uint32_t word = 0;
    bool wide = _IOC_SIZE(request) == sizeof word;
    int result = hil_theirs->fetch(wide ? (void *)&word : (void *)&octet, argument, wide ? sizeof word : 1);
    result = result < 0 ? result : settings(handle, fd, false);
    if (result < 0) {
        return result;
    }
    switch (request) {
    case SPI_IOC_WR_MODE:
        return put_mode(handle, fd, octet);
    case SPI_IOC_WR_MODE32:
        return put_mode(handle, fd, word);
    case SPI_IOC_WR_LSB_FIRST:
        word = handle->spi.mode & ~(uint32_t)SPI_LSB_FIRST;
        return put_mode(handle, fd, word | (octet ? SPI_LSB_FIRST : 0));
    case SPI_IOC_WR_BITS_PER_WORD:
        handle->spi.bits = octet ? octet : 8;
        return settings(handle, fd, true);
    case SPI_IOC_WR_MAX_SPEED_HZ:
        handle->spi.speed_hz = word;
        return word ? settings(handle, fd, true) : -EINVAL;
    default:
        return -ENOTTY;
    }
}

static int read_setting(hil_handle *handle, int fd, uint32_t request, void *argument)
{
    int result = settings(handle, fd, false);
    uint8_t octet = 0;
    uint32_t word = 0;
    switch (request) {
    case SPI_IOC_RD_MODE:
        octet = (uint8_t)handle->spi.mode;
        break;
    case SPI_IOC_RD_MODE32:
        word = handle->spi.mode;
        break;
    case SPI_IOC_RD_LSB_FIRST:
        octet = handle->spi.mode & SPI_LSB_FIRST ? 1 : 0;
        break;
    case SPI_IOC_RD_BITS_PER_WORD:
        octet = handle->spi.bits;
        break;
    case SPI_IOC_RD_MAX_SPEED_HZ:
        word = handle->spi.speed_hz;
        break;
    default:
        return -ENOTTY;
    }
    if (result == 0) {
        bool wide = _IOC_SIZE(request) == sizeof word;
        result = hil_theirs->store(argument, wide ? (void *)&word : (void *)&octet, wide ? sizeof word : 1);
    }
    return result;
}

/* SPI_IOC_MESSAGE(n) */
static int message(hil_handle *handle, int fd, const void *argument, size_t nbytes)
{
    struct spi_ioc_transfer segments[(1 << _IOC_SIZEBITS) / sizeof(struct spi_ioc_transfer)];
    if (nbytes % sizeof *segments) {
        return -EINVAL;
    }
    int result = hil_theirs->fetch(segments, argument, nbytes);
    return result < 0 ? result : transfer(handle, fd, segments, (unsigned)(nbytes / sizeof *segments));
}

int hil_spi_ioctl(hil_handle *handle, int fd, uint32_t request, void *argument)
{
    size_t nbytes = _IOC_SIZE(request);
    if (_IOC_TYPE(request) != SPI_IOC_MAGIC || !argument) {
        return _IOC_TYPE(request) != SPI_IOC_MAGIC ? -ENOTTY : -EFAULT;
    }
    if (_IOC_NR(request) == 0 && _IOC_DIR(request) == _IOC_WRITE) {
        return message(handle, fd, argument, nbytes);
    }
    return _IOC_DIR(request) == _IOC_WRITE ? write_setting(handle, fd, request, argument)
                                           : read_setting(handle, fd, request, argument);
}

ssize_t hil_spi_read(hil_handle *handle, int fd, void *octets, size_t nbytes)
{
    struct spi_ioc_transfer one = {.rx_buf = (uintptr_t)octets, .len = (uint32_t)nbytes};
    return nbytes > handle->spi.limit ? -EMSGSIZE : transfer(handle, fd, &one, 1);
}

ssize_t hil_spi_write(hil_handle *handle, int fd, const void *octets, size_t nbytes)
{
    struct spi_ioc_transfer one = {.tx_buf = (uintptr_t)octets, .len = (uint32_t)nbytes};
    return nbytes > handle->spi.limit ? -EMSGSIZE : transfer(handle, fd, &one, 1);
}
