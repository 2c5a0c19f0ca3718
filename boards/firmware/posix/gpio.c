/* GPIO of this computer through the character device, version 2: pin n is line n of the chip that
 * --device gpio=... names. Edges carry the kernel's own stamps, of the clock of hal_micros. */
#define _GNU_SOURCE
#include "hal.h"
#include "hilwire.h"
#include "posix.h"

#include <fcntl.h>
#include <linux/gpio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { PINS = 64, OUT_LOW = 3, OUT_HIGH = 4, OPEN_DRAIN = 5 };

static int chip;       /* descriptor + 1 */
static int fds[PINS];  /* of lines, + 1 */

static const uint64_t MODES[] = {
    GPIO_V2_LINE_FLAG_INPUT,
    GPIO_V2_LINE_FLAG_INPUT | GPIO_V2_LINE_FLAG_BIAS_PULL_UP,
    GPIO_V2_LINE_FLAG_INPUT | GPIO_V2_LINE_FLAG_BIAS_PULL_DOWN,
    GPIO_V2_LINE_FLAG_OUTPUT,
    GPIO_V2_LINE_FLAG_OUTPUT,
    GPIO_V2_LINE_FLAG_OUTPUT | GPIO_V2_LINE_FLAG_OPEN_DRAIN,
};

static void release(uint8_t pin)
{
    if (!fds[pin])
        return;
    posix_unwatch(fds[pin] - 1);
    close(fds[pin] - 1);
    fds[pin] = 0;
}

uint8_t hal_gpio_config(uint8_t pin, uint8_t mode, uint8_t edges)
{
    struct gpio_v2_line_request request;
    if (pin >= PINS || mode > OPEN_DRAIN || edges > 3 || (edges && mode >= OUT_LOW))
        return HW_INVALID;
    if (!chip)
        chip = posix_open("gpio", "/dev/gpiochip0", O_RDWR) + 1;
    if (!chip)
        return HW_ABSENT;
    release(pin);
    memset(&request, 0, sizeof request);
    request.offsets[0] = pin;
    request.num_lines = 1;
    memcpy(request.consumer, "hilwire", 8);
    request.config.flags = MODES[mode] | (edges & 1 ? GPIO_V2_LINE_FLAG_EDGE_RISING : 0) |
                           (edges & 2 ? GPIO_V2_LINE_FLAG_EDGE_FALLING : 0);
    if (mode >= OUT_HIGH) {
        request.config.num_attrs = 1;
        request.config.attrs[0].attr.id = GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES;
        request.config.attrs[0].attr.values = 1;
        request.config.attrs[0].mask = 1;
    }
    if (ioctl(chip - 1, GPIO_V2_GET_LINE_IOCTL, &request) < 0) {
        posix_failed("gpio", "line");
        return HW_BUSY;
    }
    fds[pin] = request.fd + 1;
    fcntl(request.fd, F_SETFD, FD_CLOEXEC);
    if (edges)
        posix_watch(request.fd);
    return HW_OK;
}

static uint8_t values(uint8_t pin, unsigned long what, struct gpio_v2_line_values *lines)
{
    if (pin >= PINS || !fds[pin])
        return HW_INVALID;
    return ioctl(fds[pin] - 1, what, lines) < 0 ? HW_UNSUPPORTED : HW_OK;
}

uint8_t hal_gpio_write(uint8_t pin, uint8_t level)
{
    struct gpio_v2_line_values lines = {.bits = level != 0, .mask = 1};
    return values(pin, GPIO_V2_LINE_SET_VALUES_IOCTL, &lines);
}

uint8_t hal_gpio_read(uint8_t pin, uint8_t *level)
{
    struct gpio_v2_line_values lines = {.bits = 0, .mask = 1};
    uint8_t status = values(pin, GPIO_V2_LINE_GET_VALUES_IOCTL, &lines);
    *level = lines.bits & 1;
    return status;
}

uint8_t hal_gpio_edge(uint8_t *pin, uint8_t *level, uint32_t *t_us)
{
    struct gpio_v2_line_event event;
    for (uint8_t i = 0; i < PINS; i++) {
        if (!fds[i] || !posix_ready(fds[i] - 1))
            continue;
        if (read(fds[i] - 1, &event, sizeof event) != sizeof event)
            continue;
        *pin = i;
        *level = event.id == GPIO_V2_LINE_EVENT_RISING_EDGE;
        *t_us = (uint32_t)(event.timestamp_ns / 1000);
        return 1;
    }
    return 0;
}
