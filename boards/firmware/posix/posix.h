/* What the files of the POSIX board share: options and the descriptors that end its sleep. */
#ifndef POSIX_H
#define POSIX_H

#include <stdint.h>
#include <termios.h>

struct posix_options {
    int fd;           /* the link, -1: a PTY or tty of its own */
    int slave;        /* the PTY's other end, kept open so that a host may come and go */
    const char *pty;  /* symbolic link to the PTY, NULL: none */
    const char *tty;  /* a serial line instead of a PTY */
    const char *name; /* of the board */
    uint8_t uid[8];
    uint32_t boot_id;
    uint8_t reset_cause;
    int until;         /* ends when this descriptor is hung up, -1: never */
    int target_wires;  /* wires of an emulated I2C bus to serve the images on, -1: none */
    int set_baud;      /* take any rate, though the line has none */
};
extern struct posix_options options;

void posix_parse(int argc, char **argv);
/* Another start of the same program on the same link: what a reset is here. */
void posix_reset(uint8_t cause);
void posix_watch(int fd); /* hal_idle also ends when this descriptor can be read */
void posix_unwatch(int fd);
uint8_t posix_ready(int fd); /* it could be read at the end of the last hal_idle */
_Noreturn void posix_die(const char *what, const char *why);

/* link.c of this folder */
void posix_link_open(void);
void posix_link_flush(void);
uint8_t posix_link_rate(uint32_t baud, uint8_t set);
uint8_t posix_set_speed(struct termios *line, uint32_t baud); /* 0: no such rate */

/* devices.c */
void posix_map(const char *assignment); /* NAME=PATH */
const char *posix_path(const char *name, const char *fallback);
int posix_open(const char *name, const char *fallback, int flags); /* -1: told in the log */
uint8_t posix_failed(const char *name, const char *what); /* log errno; returns HW_ABSENT */

/* wires.c */
void posix_wires_open(void);
void posix_wires_service(void);

#endif
