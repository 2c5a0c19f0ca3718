/* The target role without a controller's wires: whole transactions come as messages on a SEQPACKET
 * socket and are answered from the register images, octet by octet through core/target.c. The
 * layouts are those of hil/boards/wires.py; here a cycle is a microsecond. */
#define _GNU_SOURCE
#include "hal.h"
#include "hilwire.h"
#include "posix.h"

#include <string.h>
#include <sys/socket.h>

enum {
    MESSAGE = 600,
    TARGET_DONE = 0x08, STATUS = 0x09, RESET_DONE = 0x0A, SPI_DONE = 0x0B,
    RESET = 0x40, TRANSACT = 0x41, ASK_STATUS = 0x44, SPI_TRANSACT = 0x45,
    HEAD = 9, DONE_HEAD = HEAD + 15, STATUS_SIZE = HEAD + 41, TRANSACT_HEAD = 7 /* kind, bit rate, limit of stretching */,
    SPI_HEAD = 15, SPI_DONE_HEAD = HEAD + 9 /* kind, bit rate, mode, chip select, lead, gap */
};

static struct {
    uint8_t on;
    uint16_t address;
} slots[HW_TARGET_SLOTS];

uint8_t hal_target_listen(uint8_t slot, uint8_t bus, uint16_t address, uint8_t on)
{
    (void)bus; /* the wires are those of all */
    if (options.target_wires < 0)
        return HW_UNSUPPORTED;
    if (address > 0x7F && !(address >> 8 & HW_SPI_TARGET))
        return HW_INVALID;
    slots[slot].address = address;
    slots[slot].on = on;
    return HW_OK;
}

void hal_target_lock(void) {}

void hal_target_unlock(void) { posix_wires_service(); }

static void say(uint8_t kind, uint8_t *message, size_t n)
{
    message[0] = kind;
    hw_put32(message + 1, hal_micros());
    memset(message + 5, 0, 4);
    send(options.target_wires, message, n, MSG_NOSIGNAL);
}

static uint8_t start(uint8_t octet)
{
    for (uint8_t i = 0; i < HW_TARGET_SLOTS; i++)
        if (slots[i].on && slots[i].address == octet >> 1)
            return hw_target_start(i, octet & 1);
    return 0;
}

/* Run the messages of one transaction; what it read goes behind the head of the answer. */
static void transact(const uint8_t *p, const uint8_t *end)
{
    uint8_t answer[DONE_HEAD + MESSAGE] = {0};
    uint8_t *done = answer + HEAD, *out = answer + DONE_HEAD;
    uint32_t since = hal_micros();
    done[0] = HW_OK;
    done[1] = 0xFF;
    for (uint8_t index = 0; end - p >= 2 && !done[0]; index++) {
        uint8_t read = p[0] & 1, n = p[1], taken = 0;
        if (!read && end - p < 2 + n)
            break;
        done[0] = start(p[0]) ? HW_OK : HW_NAK_ADDRESS;
        p += 2;
        for (; !done[0] && taken < n && out < answer + sizeof answer; taken++)
            if (read)
                *out++ = hw_target_read();
            else if (!hw_target_write(p[taken]))
                break;
        if (!done[0] && taken < n)
            done[0] = HW_NAK_DATA;
        if (done[0])
            done[1] = index, done[2] = taken;
        p += read ? 0 : n;
    }
    hw_target_stop();
    hw_put32(done + 11, hal_micros() - since);
    say(TARGET_DONE, answer, (size_t)(out - answer));
}

/* Exchange octets under one chip select; a target of another mode is not there. */
static void spi_transact(const uint8_t *message, uint8_t mode, uint8_t cs, size_t n)
{
    uint8_t answer[SPI_DONE_HEAD + MESSAGE] = {0}, next = 0xFF, served = 0;
    uint32_t since = hal_micros();
    for (uint8_t i = 0; i < HW_TARGET_SLOTS && !served; i++) {
        uint16_t address = slots[i].address;
        served = slots[i].on && address >> 15 && (uint8_t)address == cs &&
                 (address >> 8 & HW_SPI_MODE) >> 4 == mode;
        if (served)
            hw_target_select(i);
    }
    for (size_t i = 0; i < n; i++) {
        answer[SPI_DONE_HEAD + i] = next;
        next = served ? hw_target_exchange(message[SPI_HEAD + i]) : 0xFF;
    }
    if (served)
        hw_target_stop();
    hw_put32(answer + HEAD + 5, hal_micros() - since);
    say(SPI_DONE, answer, SPI_DONE_HEAD + n);
}

void posix_wires_open(void)
{
    if (options.target_wires >= 0)
        posix_watch(options.target_wires);
}

void posix_wires_service(void)
{
    uint8_t message[MESSAGE], answer[STATUS_SIZE] = {0};
    if (options.target_wires < 0)
        return;
    for (uint8_t i = 0; i < 8; i++) { /* and then the link has its turn */
        ssize_t n = recv(options.target_wires, message, sizeof message, MSG_DONTWAIT);
        if (n == 0)
            posix_unwatch(options.target_wires);
        if (n <= 0)
            return;
        if (message[0] == TRANSACT && n >= TRANSACT_HEAD) {
            transact(message + TRANSACT_HEAD, message + n);
        } else if (message[0] == SPI_TRANSACT && n >= SPI_HEAD) {
            spi_transact(message, message[5], message[6], (size_t)n - SPI_HEAD);
        } else if (message[0] == ASK_STATUS) {
            say(STATUS, answer, STATUS_SIZE);
        } else if (message[0] == RESET) {
            answer[HEAD] = n > 1 ? message[1] : 0;
            say(RESET_DONE, answer, HEAD + 1);
            posix_reset(HW_RESET_EXTERNAL);
        }
    }
}
