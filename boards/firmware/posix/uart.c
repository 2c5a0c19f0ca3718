/* UARTs of this computer: ttys that --device names (uart0=/dev/ttyAMA0), non-blocking. */
#define _GNU_SOURCE
#include "hal.h"
#include "hilwire.h"
#include "posix.h"

#include <fcntl.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

static int fds[HW_UART_PORTS]; /* descriptor + 1 */

static int open_port(uint8_t port)
{
    char name[16];
    if (fds[port])
        return fds[port] - 1;
    snprintf(name, sizeof name, "uart%u", port);
    int fd = posix_open(name, NULL, O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return fd;
    posix_watch(fd);
    fds[port] = fd + 1;
    return fd;
}

uint32_t hal_uart_config(uint8_t port, uint32_t baud, uint8_t bits, uint8_t parity, uint8_t stop)
{
    static const tcflag_t sizes[] = {CS5, CS6, CS7, CS8};
    struct termios line;
    int fd = open_port(port);
    if (fd < 0 || bits < 5 || bits > 8 || parity > 2 || (stop != 2 && stop != 4))
        return 0;
    if (tcgetattr(fd, &line) < 0 || !posix_set_speed(&line, baud))
        return 0;
    cfmakeraw(&line);
    line.c_cflag &= ~(tcflag_t)(CSIZE | PARENB | PARODD | CSTOPB | CRTSCTS);
    line.c_cflag |= sizes[bits - 5] | CLOCAL | CREAD | (stop == 4 ? CSTOPB : 0);
    line.c_cflag |= parity ? PARENB | (parity == 2 ? PARODD : 0) : 0;
    return tcsetattr(fd, TCSANOW, &line) < 0 ? 0 : baud;
}

uint8_t hal_uart_write(uint8_t port, const uint8_t *octets, uint8_t n)
{
    int fd = open_port(port);
    ssize_t taken = fd < 0 ? -1 : write(fd, octets, n);
    return taken < 0 ? 0 : (uint8_t)taken;
}

uint8_t hal_uart_take(uint8_t port, uint8_t *octets, uint8_t room, uint32_t *t_us, uint8_t *errors)
{
    if (!fds[port] || !posix_ready(fds[port] - 1))
        return 0;
    ssize_t n = read(fds[port] - 1, octets, room);
    *t_us = hal_micros();
    *errors = 0;
    if (n > 0)
        return (uint8_t)n;
    posix_unwatch(fds[port] - 1); /* unplugged: opened anew with the next request */
    close(fds[port] - 1);
    fds[port] = 0;
    return 0;
}
