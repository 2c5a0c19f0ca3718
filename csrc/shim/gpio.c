/* /dev/gpiochipN, both versions of its interface: the structs of linux/gpio.h go to the bench as
 * they are and come back filled in. A request for lines makes a descriptor on which the bench sends
 * edges as the kernel's structs; what is asked about those lines goes over a connection beside it,
 * so that an edge never stands between a question and its answer. */
#include "shim.h"

#include <linux/gpio.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Send a struct and take it back. The payload is u32 ioctl number and the struct; that of the reply
 * i32 errno and the struct. */
static int ask(hil_handle *handle, int fd, uint32_t line, uint32_t request, void *argument)
{
    size_t nbytes = _IOC_SIZE(request);
    uint8_t *payload = hil_begin(handle);
    memcpy(payload, &request, 4);
    memcpy(payload + 4, argument, nbytes);
    int result = hil_call(handle, fd, KIND_GPIO, line, 4 + nbytes);
    if (result >= 4) {
        int32_t error;
        memcpy(&error, payload, 4);
        if (error == 0 && (size_t)result == 4 + nbytes) {
            memcpy(argument, payload + 4, nbytes);
        }
        result = error ? -error : (size_t)result == 4 + nbytes ? 0 : -EPROTO;
    }
    hil_end(handle);
    return result;
}

/* Ask for lines: the number that the bench gives them stands where the descriptor is to be, which
 * ends the struct in both versions. */
static int request_lines(hil_handle *chip, uint32_t request, uint8_t *argument)
{
    char path[sizeof chip->path];
    memcpy(path, chip->path, sizeof path);
    int fd = hil_connect(path, DEVICE_LINE);
    if (fd < 0) {
        return -errno;
    }
    hil_handle *line = hil_of(fd);
    int result = ask(line, fd, 0, request, argument);
    int control = result < 0 ? -1 : hil_connect(path, DEVICE_CHIP);
    if (control < 0) {
        result = result < 0 ? result : -errno;
        hil_close(fd);
        return result;
    }
    uint8_t *place = argument + _IOC_SIZE(request) - sizeof fd;
    memcpy(&line->gpio.line, place, sizeof line->gpio.line);
    line->gpio.control = control;
    line->gpio.readable = request == GPIO_V2_GET_LINE_IOCTL ? sizeof(struct gpio_v2_line_event)
                                                            : sizeof(struct gpioevent_data);
    int theirs = hil_give(line, fd);
    memcpy(place, &theirs, sizeof theirs);
    return theirs < 0 ? theirs : 0;
}

/* Ask about a chip: beside the connection on which it tells what becomes of lines, if it does. */
static int ask_chip(hil_handle *chip, int fd, uint32_t request, void *argument)
{
    if (chip->gpio.control < 0) {
        return ask(chip, fd, 0, request, argument);
    }
    hil_handle *handle = hil_of(chip->gpio.control);
    return handle ? ask(handle, chip->gpio.control, 0, request, argument) : -ENODEV;
}

/* Watch a line: from the first one on, the chip's descriptor is what the bench tells of them. */
static int watch(hil_handle *chip, int fd, uint32_t request, struct gpio_v2_line_info *info)
{
    if (hil_theirs != &hil_own) {
        return -ENOTTY; /* the supervisor's program has another descriptor than the bench's */
    }
    int control = chip->gpio.control, result = -ENODEV;
    if (control >= 0) {
        hil_handle *handle = hil_of(control);
        result = handle ? ask(handle, control, chip->gpio.line, request, info) : -ENODEV;
    } else if ((control = hil_connect(chip->path, DEVICE_CHIP)) >= 0) {
        result = ask(chip, fd, 0, request, info);
        if (result < 0) {
            hil_close(control);
        } else {
            chip->gpio.line = info->padding[0];
            chip->gpio.readable = sizeof(struct gpio_v2_line_info_changed);
            chip->gpio.control = control;
        }
    }
    memset(info->padding, 0, sizeof info->padding);
    return result;
}

static int unwatch(hil_handle *chip, uint32_t request, void *offset)
{
    hil_handle *handle = chip->gpio.control < 0 ? NULL : hil_of(chip->gpio.control);
    return handle ? ask(handle, chip->gpio.control, chip->gpio.line, request, offset) : -EBUSY;
}

static int ask_lines(hil_handle *lines, uint32_t request, void *argument)
{
    int control = lines->gpio.control;
    hil_handle *handle = hil_of(control);
    return handle ? ask(handle, control, lines->gpio.line, request, argument) : -ENODEV;
}

int hil_gpio_attach(hil_handle *lines)
{
    struct gpio_v2_line_values none = {0};
    return ask_lines(lines, GPIO_V2_LINE_GET_VALUES_IOCTL, &none) == -ENODEV ? -ENODEV : 0;
}

/* Do what is asked with the struct at `argument`, a copy. Returns a negative errno, 0, or 1 where the
 * program is to have the struct back. */
static int answer(hil_handle *handle, int fd, uint32_t request, void *argument)
{
    int result;
    bool lines = handle->device == DEVICE_LINE;
    switch (request) {
    case GPIO_GET_CHIPINFO_IOCTL:
    case GPIO_GET_LINEINFO_IOCTL:
    case GPIO_V2_GET_LINEINFO_IOCTL:
        result = lines ? -ENOTTY : ask_chip(handle, fd, request, argument);
        return result < 0 ? result : 1;
    case GPIO_V2_GET_LINEINFO_WATCH_IOCTL:
        result = lines ? -ENOTTY : watch(handle, fd, request, argument);
        return result < 0 ? result : 1;
    case GPIO_GET_LINEINFO_UNWATCH_IOCTL:
        return lines ? -ENOTTY : unwatch(handle, request, argument);
    case GPIO_V2_GET_LINE_IOCTL:
    case GPIO_GET_LINEHANDLE_IOCTL:
    case GPIO_GET_LINEEVENT_IOCTL:
        result = lines ? -ENOTTY : request_lines(handle, request, argument);
        return result < 0 ? result : 1;
    case GPIO_V2_LINE_GET_VALUES_IOCTL:
    case GPIOHANDLE_GET_LINE_VALUES_IOCTL:
        result = lines ? ask_lines(handle, request, argument) : -ENOTTY;
        return result < 0 ? result : 1;
    case GPIO_V2_LINE_SET_VALUES_IOCTL:
    case GPIO_V2_LINE_SET_CONFIG_IOCTL:
    case GPIOHANDLE_SET_LINE_VALUES_IOCTL:
    case GPIOHANDLE_SET_CONFIG_IOCTL:
        return lines ? ask_lines(handle, request, argument) : -ENOTTY;
    default:
        return -ENOTTY;
    }
}

int hil_gpio_ioctl(hil_handle *handle, int fd, uint32_t request, void *argument)
{
    uint8_t copy[sizeof(struct gpio_v2_line_request)]; /* the longest of them */
    size_t nbytes = _IOC_SIZE(request);
    if (_IOC_TYPE(request) != 0xb4 || nbytes > sizeof copy) {
        return -ENOTTY;
    }
    int result = hil_theirs->fetch(copy, argument, nbytes);
    if (result == 0) {
        result = answer(handle, fd, request, copy);
    }
    return result == 1 ? hil_theirs->store(argument, copy, nbytes) : result;
}

/* An edge, or a change of a line, is read whole or not at all, as from the kernel. */
bool hil_gpio_readable(const hil_handle *handle, size_t nbytes)
{
    return handle->gpio.readable && nbytes >= handle->gpio.readable;
}
