/* HILwire 1, the board's side: numbers of the protocol, sizes of this build, and what the parts of
 * the core call of one another. docs/board-protocol.md is the specification.
 *
 * A board's board.h defines HW_BOARD_NAME, HW_FIRMWARE_NAME and HW_CAPABILITIES, and may define any
 * of the sizes below; -D on the command line goes before both. */
#ifndef HILWIRE_H
#define HILWIRE_H

#include <stdint.h>

enum { HW_MAJOR = 1, HW_MINOR = 0 };

enum {
    HW_HELLO = 0x01, HW_PING, HW_TIME, HW_STATS, HW_SET_BAUD, HW_RESET, HW_READ, HW_WRITE,
    HW_I2C_CONFIG = 0x10, HW_I2C_XFER, HW_I2C_RECOVER,
    HW_SPI_CONFIG = 0x18, HW_SPI_XFER,
    HW_UART_CONFIG = 0x20, HW_UART_WRITE,
    HW_GPIO_CONFIG = 0x28, HW_GPIO_WRITE, HW_GPIO_READ,
    HW_CAN_CONFIG = 0x30, HW_CAN_SEND,
    HW_TARGET_CONFIG = 0x38, HW_IMAGE_WRITE, HW_IMAGE_READ,
    HW_REPLY = 0x80,
    HW_BOOT = 0xC0, HW_LOG, HW_RESEND,
    HW_UART_RX = 0xC8, HW_GPIO_EDGE, HW_CAN_RX, HW_CAN_STATE,
    HW_TARGET_WRITE = 0xD0, HW_TARGET_READ, HW_TARGET_STALE
};

enum {
    HW_OK, HW_NAK_ADDRESS, HW_NAK_DATA, HW_ARBITRATION_LOST, HW_TIMEOUT, HW_STUCK, HW_UNSUPPORTED,
    HW_INVALID, HW_BUS_OFF, HW_OVERRUN, HW_ABSENT = 12, HW_BUSY = 13, HW_STALE = 0x10
};

enum {
    HW_RESET_UNKNOWN, HW_RESET_POWER_ON, HW_RESET_EXTERNAL, HW_RESET_BROWN_OUT, HW_RESET_WATCHDOG,
    HW_RESET_SOFTWARE, HW_RESET_FAULT
};

enum { HW_RESEND_BAD_CHECK = 1, HW_RESEND_ORDER, HW_RESEND_OVERRUN };

/* Bits of an I2C message's address. */
enum { HW_I2C_READ = 0x8000, HW_I2C_TEN = 0x4000, HW_I2C_NOSTART = 0x2000 };
/* Flags of I2C_XFER and SPI_XFER: no STOP, or the chip stays selected; and of I2C_XFER: the last
 * message goes on in the next request with NOSTART, so the last octet read is acknowledged. */
enum { HW_HOLD = 1, HW_GO_ON = 2 };

/* Capabilities: preprocessor words, because they choose what is compiled. */
#define HW_CAP_I2C 0x1ul
#define HW_CAP_SPI 0x2ul
#define HW_CAP_UART 0x4ul
#define HW_CAP_GPIO 0x8ul
#define HW_CAP_CAN 0x10ul
#define HW_CAP_CAN_FD 0x20ul
#define HW_CAP_I2C_TARGET 0x40ul
#define HW_CAP_SPI_TARGET 0x80ul
#define HW_CAP_SET_BAUD 0x100ul
#define HW_CAP_RESET 0x200ul
#define HW_CAP_BOOT_LOADER 0x400ul
#define HW_CAP_UID 0x800ul
#define HW_CAP_I2C_TEN 0x1000ul

#include "board.h"

#ifndef HW_MAX_FRAME
#define HW_MAX_FRAME 136 /* body and check, decoded: 64 to 252 */
#endif
#ifndef HW_WINDOW
#define HW_WINDOW 4 /* replies kept: 1, 2 or 4 */
#endif
#ifndef HW_RX_CREDIT
#define HW_RX_CREDIT 256 /* octets that the HAL's ring holds while the core is busy */
#endif
#ifndef HW_EVENT_SIZE
#define HW_EVENT_SIZE HW_MAX_FRAME /* the longest event, with head and check */
#endif
#ifndef HW_BAUD
#define HW_BAUD 115200ul /* the rate after a reset */
#endif
#ifndef HW_I2C_BUSES
#define HW_I2C_BUSES 1
#endif
#ifndef HW_UART_PORTS
#define HW_UART_PORTS 1
#endif
#ifndef HW_CAN_BUSES
#define HW_CAN_BUSES 1
#endif
#ifndef HW_TARGET_SLOTS
#define HW_TARGET_SLOTS 1
#endif
#ifndef HW_TARGET_IMAGE
#define HW_TARGET_IMAGE 128 /* octets of an image at most */
#endif
#ifndef HW_TARGET_RING
#define HW_TARGET_RING 64 /* octets of what controllers did and has not been told: 32, 64, 128 */
#endif
/* A board defines HW_TARGET_SWITCHED where its hardware acknowledges the target's address by itself
 * and so has to be switched off for a stale image; HW_I2C_WHOLE and HW_SPI_WHOLE: see hal.h. */
#ifndef HW_CAPABILITIES_NOW
#define HW_CAPABILITIES_NOW HW_CAPABILITIES /* where some depend on how the board was started */
#endif
#ifndef HW_BUILD
#define HW_BUILD 0 /* first 32 bits of the hash of the sources; the Makefile gives it */
#endif
#define HW_VERSION 1, 0, 0

#if HW_MAX_FRAME < 64 || HW_MAX_FRAME > 252 || (HW_WINDOW != 1 && HW_WINDOW != 2 && HW_WINDOW != 4)
#error "a frame has 64 to 252 octets, a window 1, 2 or 4 replies"
#endif

#if HW_CAPABILITIES & HW_CAP_CAN_FD && HW_EVENT_SIZE < 80
#error "an event with a frame of CAN FD has 80 octets"
#endif
#if HW_TARGET_RING > 128 || HW_TARGET_RING & (HW_TARGET_RING - 1)
#error "the ring has 32, 64 or 128 octets"
#endif

enum { HW_HEAD = 3, HW_CHECK = 3, HW_ROOM = HW_MAX_FRAME - HW_HEAD - HW_CHECK };

/* --- counters, in the order of STATS ------------------------------------------------------- */

enum {
    HW_FRAMES, HW_BAD_CHECK, HW_BAD_COBS, HW_OVERLONG, HW_WRONG_EPOCH, HW_NO_SESSION, HW_REPEATED,
    HW_OUT_OF_ORDER, HW_RX_OVERRUN, HW_EVENTS_LOST, HW_COUNTERS
};
void hw_count(uint8_t counter); /* they wrap at 2^16 */
extern uint16_t hw_counters[HW_COUNTERS];

/* --- link.c: octets, frames and the session ------------------------------------------------ */

void hw_boot(void); /* after hal_init: start without a session and send BOOT */
void hw_poll(void); /* take every waiting octet, do what it asks, see to events; then hal_idle */

/* An event is composed in the place that hw_event returns (HW_EVENT_SIZE - 6 octets) and sent. */
uint8_t *hw_event(void);
void hw_event_send(uint8_t type, uint8_t n);
void hw_log(const char *text);

/* The rate of the link is to change, or the board is to be reset, once the reply is out. */
void hw_after_reply(uint8_t type, uint32_t argument);

/* --- dispatch.c: what requests do ---------------------------------------------------------- */

/* Execute one request; reply[0] gets the status. Returns the octets of the reply, at least 1 and
 * at most HW_ROOM. */
uint8_t hw_execute(uint8_t type, uint8_t *payload, uint8_t n, uint8_t *reply);
uint8_t hw_identity(uint8_t *out); /* the identity of HELLO and BOOT; returns its octets */
extern uint32_t hw_received_us;    /* when the last octet of the request came */

uint8_t hw_fail(uint8_t *reply, uint8_t status); /* a reply of the status alone */
uint8_t *hw_put32(uint8_t *out, uint32_t value); /* little-endian; returns what follows */
uint32_t hw_get32(const uint8_t *in);

/* --- peripherals: each is there where the capability is ------------------------------------ */

/* One kind of bus each; they return the octets of the reply as hw_execute does. */
uint8_t hw_i2c_execute(uint8_t type, uint8_t *payload, uint8_t n, uint8_t *reply);
uint8_t hw_spi_execute(uint8_t type, uint8_t *payload, uint8_t n, uint8_t *reply);
uint8_t hw_uart_execute(uint8_t type, uint8_t *payload, uint8_t n, uint8_t *reply);
uint8_t hw_gpio_execute(uint8_t type, uint8_t *payload, uint8_t n, uint8_t *reply);
uint8_t hw_can_execute(uint8_t type, uint8_t *payload, uint8_t n, uint8_t *reply);
uint8_t hw_target_execute(uint8_t type, uint8_t *payload, uint8_t n, uint8_t *reply);
void hw_i2c_let_go(void); /* end what an XFER has held: another session begins */
void hw_spi_let_go(void);
void hw_uart_service(void);
void hw_gpio_service(void);
void hw_can_service(void);
void hw_target_service(void);

/* --- target.c, called by the HAL's interrupt ----------------------------------------------- */

/* The controller addresses a slot, or again without a STOP before: 1 to acknowledge, 0 if the image
 * is stale or there is none. Hardware that acknowledges by itself ignores the answer. */
uint8_t hw_target_start(uint8_t slot, uint8_t read);
uint8_t hw_target_write(uint8_t octet); /* 1 to acknowledge */
uint8_t hw_target_read(void);           /* the octet to send; for each, the first included */
void hw_target_stop(void);
/* On SPI: chip select is active; an octet is exchanged, and what is to be sent with the next one; chip
 * select is not active any more: hw_target_stop. Before the first exchange FFh is to be sent. Where an
 * answer did not come in time for the controller's clock: late, and no more of this transaction. */
void hw_target_select(uint8_t slot);
uint8_t hw_target_exchange(uint8_t octet);
void hw_target_late(void);
/* Address of an SPI target, its high octet: this flag; mode in bits 4 and 5; in a read the bit of
 * direction is set; which bit of the first octet that is. Its low octet: chip select. */
enum { HW_SPI_TARGET = 0x80, HW_SPI_MODE = 0x30, HW_SPI_READS = 0x08, HW_SPI_BIT = 0x07 };

#endif
