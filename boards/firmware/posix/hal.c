/* The POSIX board's clock, sleep, identity and reset. */
#define _GNU_SOURCE
#include "hal.h"
#include "hilwire.h"
#include "posix.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WATCHED = 32, NAP_NS = 10000000 };

static struct pollfd watched[WATCHED];
static unsigned nwatched;
static volatile sig_atomic_t asked;
static sigset_t asleep; /* signals come only in hal_idle */

static void note(int signal) { asked = signal; }

static void obey(void)
{
    switch (asked) {
    case 0:
        return;
    case SIGUSR1:
        posix_reset(HW_RESET_EXTERNAL);
        return;
    case SIGUSR2:
        posix_reset(HW_RESET_BROWN_OUT);
        return;
    default:
        exit(0);
    }
}

static void catch_signals(void)
{
    static const int signals[] = {SIGUSR1, SIGUSR2, SIGTERM, SIGINT};
    struct sigaction action = {.sa_handler = note};
    sigset_t awake;
    sigemptyset(&awake);
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) {
        sigaddset(&awake, signals[i]);
        sigaction(signals[i], &action, 0);
    }
    sigprocmask(SIG_BLOCK, &awake, &asleep);
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
        sigdelset(&asleep, signals[i]);
    signal(SIGPIPE, SIG_IGN);
}

void posix_watch(int fd)
{
    if (nwatched == WATCHED)
        posix_die("the board", "watches too many devices");
    watched[nwatched++] = (struct pollfd){fd, POLLIN, 0};
}

void posix_unwatch(int fd)
{
    for (unsigned i = 0; i < nwatched; i++)
        if (watched[i].fd == fd)
            watched[i] = watched[--nwatched];
}

uint8_t posix_ready(int fd)
{
    for (unsigned i = 0; i < nwatched; i++)
        if (watched[i].fd == fd && watched[i].revents) {
            watched[i].revents = 0; /* level-triggered: what is left shows in the next sleep */
            return 1;
        }
    return 0;
}

void hal_init(void)
{
    catch_signals();
    if (options.until >= 0)
        posix_watch(options.until);
    posix_link_open();
    posix_wires_open();
}

void hal_idle(void)
{
    struct timespec nap = {0, NAP_NS};
    posix_link_flush();
    ppoll(watched, nwatched, &nap, &asleep);
    posix_wires_service();
    obey();
    if (options.until >= 0 && watched[0].revents & (POLLHUP | POLLERR | POLLNVAL))
        exit(0);
}

uint32_t hal_micros(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)now.tv_sec * 1000000u + (uint32_t)(now.tv_nsec / 1000);
}

void hal_identity(uint8_t uid[8]) { memcpy(uid, options.uid, 8); }

uint32_t hal_boot_id(void) { return options.boot_id; }

uint8_t hal_reset_cause(void) { return options.reset_cause; }

void hal_reset(uint8_t kind)
{
    (void)kind;
    posix_reset(HW_RESET_SOFTWARE);
}

uint8_t hal_describe(uint32_t offset, uint8_t *octets, uint8_t n)
{
    static const char text[] = "A computer with Linux, its own buses behind /dev.\n";
    uint8_t i = 0;
    for (; i < n && offset + i < sizeof text - 1; i++)
        octets[i] = (uint8_t)text[offset + i];
    return i;
}

uint32_t posix_capabilities(void)
{
    uint32_t with = HW_CAPABILITIES;
    if (!options.tty && !options.set_baud)
        with &= ~HW_CAP_SET_BAUD;
    if (options.target_wires < 0)
        with &= ~(HW_CAP_I2C_TARGET | HW_CAP_SPI_TARGET);
    return with;
}

uint8_t posix_name_size(void) { return (uint8_t)(strlen(options.name) + sizeof HW_FIRMWARE_NAME); }

uint8_t posix_name(uint8_t i)
{
    size_t n = strlen(options.name);
    return (uint8_t)(i <= n ? options.name[i] : HW_FIRMWARE_NAME[i - n - 1]);
}

int main(int argc, char **argv)
{
    posix_parse(argc, argv);
    hal_init();
    hw_boot();
    for (;;) {
        hw_poll();
        hal_idle();
    }
}
