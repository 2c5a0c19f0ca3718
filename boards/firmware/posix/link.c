/* The link of the POSIX board: a PTY of its own, a serial line or an inherited descriptor. */
#define _GNU_SOURCE
#include "hal.h"
#include "hilwire.h"
#include "posix.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { IN_SIZE = 4096, OUT_SIZE = 1024, PATIENCE_MS = 100 };

static uint8_t in[IN_SIZE], out[OUT_SIZE];
static unsigned in_at, in_end, out_end;
static uint8_t stuffed; /* nobody has read for PATIENCE_MS: not waited for again until somebody does */

static const struct {
    uint32_t baud;
    speed_t speed;
} RATES[] = {{9600, B9600},       {19200, B19200},     {38400, B38400},     {57600, B57600},
             {115200, B115200},   {230400, B230400},   {460800, B460800},   {500000, B500000},
             {921600, B921600},   {1000000, B1000000}, {2000000, B2000000}, {3000000, B3000000}};

static void raw(int fd)
{
    struct termios line;
    if (tcgetattr(fd, &line) < 0)
        return;
    cfmakeraw(&line);
    tcsetattr(fd, TCSANOW, &line);
}

uint8_t posix_set_speed(struct termios *line, uint32_t baud)
{
    for (unsigned i = 0; i < sizeof RATES / sizeof *RATES; i++)
        if (RATES[i].baud == baud)
            return cfsetspeed(line, RATES[i].speed) == 0;
    return 0;
}

uint8_t posix_link_rate(uint32_t baud, uint8_t set)
{
    struct termios line = {0};
    if (!(options.tty || options.set_baud) || !posix_set_speed(&line, baud))
        return 0;
    if (set && options.tty && !tcgetattr(options.fd, &line)) {
        posix_set_speed(&line, baud);
        tcsetattr(options.fd, TCSADRAIN, &line);
    }
    return 1;
}

static char linked[4096];

static void unlink_pty(void) { unlink(linked); }

static void link_pty(const char *path)
{
    char beside[sizeof linked];
    snprintf(linked, sizeof linked, "%s", options.pty);
    snprintf(beside, sizeof beside, "%.4000s.%d", options.pty, (int)getpid());
    unlink(beside);
    if (symlink(path, beside) < 0 || rename(beside, linked) < 0)
        posix_die(options.pty, strerror(errno));
}

static void open_pty(void)
{
    options.fd = posix_openpt(O_RDWR | O_NOCTTY);
    if (options.fd < 0 || grantpt(options.fd) < 0 || unlockpt(options.fd) < 0)
        posix_die("a PTY", strerror(errno));
    const char *path = ptsname(options.fd);
    options.slave = open(path, O_RDWR | O_NOCTTY);
    if (options.slave < 0)
        posix_die(path, strerror(errno));
    raw(options.slave);
    if (options.pty)
        link_pty(path);
    printf("%s\n", path);
    fflush(stdout);
}

void posix_link_open(void)
{
    if (options.fd < 0 && options.tty) {
        options.fd = open(options.tty, O_RDWR | O_NOCTTY);
        if (options.fd < 0)
            posix_die(options.tty, strerror(errno));
        raw(options.fd);
    } else if (options.fd < 0) {
        open_pty();
    } else if (options.pty) {
        snprintf(linked, sizeof linked, "%s", options.pty); /* of before a reset */
    }
    if (*linked)
        atexit(unlink_pty);
    int flags = fcntl(options.fd, F_GETFL);
    if (flags < 0)
        posix_die("the link", strerror(errno));
    fcntl(options.fd, F_SETFL, flags | O_NONBLOCK);
    posix_link_rate(HW_BAUD, 1);
    posix_watch(options.fd);
}

int hal_rx(void)
{
    if (in_at == in_end) {
        ssize_t n = read(options.fd, in, sizeof in);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            exit(0); /* the other end is gone for good */
        in_at = 0;
        in_end = n < 0 ? 0 : (unsigned)n;
        if (n < 0)
            return HAL_RX_EMPTY;
    }
    return in[in_at++];
}

/* What nobody takes within PATIENCE_MS is lost: the link must not stop what the board does. */
void posix_link_flush(void)
{
    unsigned at = 0;
    while (at < out_end) {
        ssize_t n = write(options.fd, out + at, out_end - at);
        if (n > 0) {
            at += (unsigned)n;
            stuffed = 0;
            continue;
        }
        struct pollfd room = {options.fd, POLLOUT, 0};
        if (stuffed || poll(&room, 1, PATIENCE_MS) == 0) {
            stuffed = 1;
            hw_count(HW_EVENTS_LOST);
            break;
        }
        if (room.revents & (POLLERR | POLLHUP | POLLNVAL))
            exit(0);
    }
    out_end = 0;
}

void hal_tx(uint8_t octet)
{
    out[out_end++] = octet;
    if (out_end == sizeof out)
        posix_link_flush();
}

void hal_flush(void) { posix_link_flush(); }

void hal_drain(void)
{
    posix_link_flush();
    if (options.tty)
        tcdrain(options.fd);
}

uint8_t hal_can_baud(uint32_t baud) { return posix_link_rate(baud, 0); }

uint8_t hal_set_baud(uint32_t baud) { return posix_link_rate(baud, 1); }
