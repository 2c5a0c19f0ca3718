/* Datagrams between the emulated board and the bench: hil/boards/wires.py says what is in them.
 * Those of the board carry its clock in cycles. GPL note: runner.h. */
#include "runner.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MESSAGE_NBYTES = 600, HEAD_NBYTES = 9 };

static int wire_fd = -1;

void put32(uint8_t *octets, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        octets[i] = (uint8_t)(value >> 8 * i);
    }
}

uint32_t get32(const uint8_t *octets)
{
    return octets[0] | octets[1] << 8 | octets[2] << 16 | (uint32_t)octets[3] << 24;
}

void wires_init(int fd)
{
    wire_fd = fd;
}

int wires_fd(void)
{
    return wire_fd;
}

void wires_tell(uint8_t kind, const uint8_t *octets, int n)
{
    if (wire_fd < 0) {
        return;
    }
    uint8_t message[MESSAGE_NBYTES] = {kind};
    put32(message + 1, (uint32_t)cpu->cycle);
    put32(message + 5, (uint32_t)(cpu->cycle >> 32));
    memcpy(message + HEAD_NBYTES, octets, (size_t)n);
    ssize_t put;
    do {
        put = send(wire_fd, message, (size_t)(HEAD_NBYTES + n), MSG_NOSIGNAL);
    } while (put < 0 && errno == EINTR);
    if (put < 0) {
        _exit(0); /* nobody is at the other end any more */
    }
}

static void tell_status(void)
{
    uint8_t octets[1 + 4 * N_COUNTERS] = {(uint8_t)cpu->state};
    for (int i = 0; i < N_COUNTERS; i++) {
        put32(octets + 1 + 4 * i, counted[i]);
    }
    wires_tell(WIRE_STATUS, octets, sizeof octets);
}

static void obey(const uint8_t *message, int n)
{
    if (message[0] == WIRE_RESET && n == 3) {
        board_reset(message[1], message[2]);
    } else if (message[0] == WIRE_TARGET && n >= 9) {
        twi_controller(message + 1, n - 1);
    } else if (message[0] == WIRE_SPI_TRANSACT && n >= 16) {
        spi_controller(message + 1, n - 1);
    } else if (message[0] == WIRE_HOLD && n == 3) {
        twi_hold(message[1], message[2]);
        pins_look();
    } else if (message[0] == WIRE_DRIVE && n == 4) {
        pins_drive(message[1], message[2], message[3]);
    } else if (message[0] == WIRE_ASK_STATUS) {
        tell_status();
    } else {
        fail("the bench sent a message that wires 1 does not have");
    }
}

static int next_message(uint8_t *message, int flags)
{
    ssize_t got;
    do {
        got = recv(wire_fd, message, MESSAGE_NBYTES, flags);
    } while (got < 0 && errno == EINTR);
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
        _exit(0);
    }
    return got < 0 ? 0 : (int)got;
}

void wires_look(void)
{
    uint8_t message[MESSAGE_NBYTES];
    int n;
    while (wire_fd >= 0 && (n = next_message(message, MSG_DONTWAIT)) > 0) {
        obey(message, n);
    }
}

/* Time stands still for the board until the bench has answered. */
int wires_ask(uint8_t kind, const uint8_t *octets, int n, uint8_t *answer, int room)
{
    if (wire_fd < 0) {
        return -1;
    }
    wires_tell(kind, octets, n);
    uint8_t message[MESSAGE_NBYTES];
    for (;;) {
        int got = next_message(message, 0);
        if (message[0] == (kind | WIRE_ANSWER)) {
            int length = got - 1 < room ? got - 1 : room;
            memcpy(answer, message + 1, (size_t)length);
            return length;
        }
        obey(message, got);
    }
}
