/* What a call on a device does, by its kind. */
#include "shim.h"

ssize_t hil_read(hil_handle *handle, int fd, void *octets, size_t nbytes)
{
    switch (handle->device) {
    case DEVICE_ATTRIBUTE:
        return hil_live_read(handle, fd, octets, nbytes, HIL_HERE);
    case DEVICE_I2C:
        return hil_i2c_read(handle, fd, octets, nbytes);
    case DEVICE_SPI:
        return hil_spi_read(handle, fd, octets, nbytes);
    default:
        return -EINVAL;
    }
}

ssize_t hil_write(hil_handle *handle, int fd, const void *octets, size_t nbytes)
{
    switch (handle->device) {
    case DEVICE_ATTRIBUTE:
        return hil_live_write(handle, fd, octets, nbytes);
    case DEVICE_I2C:
        return hil_i2c_write(handle, fd, octets, nbytes);
    case DEVICE_SPI:
        return hil_spi_write(handle, fd, octets, nbytes);
    default:
        return -EINVAL;
    }
}

int hil_ioctl(hil_handle *handle, int fd, uint32_t request, void *argument)
{
    int result = -ENOTTY;
    switch (handle->device) {
    case DEVICE_ATTRIBUTE:
        return -ENOTTY; /* as of any file */
    case DEVICE_I2C:
        result = hil_i2c_ioctl(handle, fd, request, argument);
        break;
    case DEVICE_SPI:
        result = hil_spi_ioctl(handle, fd, request, argument);
        break;
    default:
        result = hil_gpio_ioctl(handle, fd, request, argument);
        break;
    }
    if (result == -ENOTTY) {
        hil_tell("ioctl", request, handle);
        result = -EOPNOTSUPP;
    }
    return result;
}
