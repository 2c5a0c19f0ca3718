/* What the core of the firmware asks of a board: the hardware abstraction of HILwire 1.
 *
 * A board is one folder with a board.h (names, capabilities, sizes: see hilwire.h) and the functions
 * below. The first group every board has; each other group only a board whose HW_CAPABILITIES say so.
 * Statuses are HW_OK and its fellows of hilwire.h. Nothing here may take longer than 100 ms: where
 * the hardware could, the function ends by its own bounded wait with HW_TIMEOUT or HW_STUCK. */
#ifndef HILWIRE_HAL_H
#define HILWIRE_HAL_H

#include <stdint.h>

/* --- every board --------------------------------------------------------------------------- */

enum { HAL_RX_EMPTY = -1, HAL_RX_LOST = -2 };

void hal_init(void);
/* The next octet of the link, HAL_RX_EMPTY, or once HAL_RX_LOST where octets were lost (ring full,
 * overrun, framing error) between the octet before and the octet after. */
int hal_rx(void);
/* Take one octet for the link; waits for room at most as long as an octet takes on the line. */
void hal_tx(uint8_t octet);
/* A frame is complete: hand over what hal_tx keeps back. Need not wait. */
void hal_flush(void);
/* Wait until the last stop bit has left: called before the rate changes and before a reset. */
void hal_drain(void);
/* Microseconds of a free-running counter that wraps at 2^32; never counted by a tick interrupt. */
uint32_t hal_micros(void);
/* Sleep until something may have happened: an octet, an edge, 10 ms at most gone by. Look for
 * waiting octets with interrupts locked, then sleep: otherwise the last one can be slept over. */
void hal_idle(void);
void hal_identity(uint8_t uid[8]);
/* Random at every boot and the same until the next: a counter in EEPROM, ring oscillator, ADC noise, uninitialised RAM. */
uint32_t hal_boot_id(void);
uint8_t hal_reset_cause(void); /* HW_RESET_... */
/* Copy at most n octets of the description text from an offset; returns how many there were. */
uint8_t hal_describe(uint32_t offset, uint8_t *octets, uint8_t n);

/* --- HW_CAP_SET_BAUD ----------------------------------------------------------------------- */

/* Tell whether the link's line can run at this rate within 2.5 %; 0: no. Changes nothing. */
uint8_t hal_can_baud(uint32_t baud);
uint8_t hal_set_baud(uint32_t baud); /* 0: cannot, and nothing has changed */

/* --- HW_CAP_RESET, HW_CAP_UID -------------------------------------------------------------- */

void hal_reset(uint8_t kind); /* 0 reset, 1 boot loader; need not return */
uint8_t hal_write_uid(const uint8_t uid[8]); /* status */

/* --- HW_CAP_I2C: buses 0 .. HW_I2C_BUSES - 1 ----------------------------------------------- */

uint32_t hal_i2c_config(uint8_t bus, uint32_t hz); /* the rate it runs at; 0: cannot */
uint8_t hal_i2c_recover(uint8_t bus);              /* nine clocks and a STOP; HW_STUCK if in vain */

/* The primitives of core/i2c_messages.c. START is a repeated one while the bus is held. The address
 * octet is as on the wires, read bit included. Hardware that starts only with the first data octet
 * may keep the START back and return HW_NAK_ADDRESS from that write or read, or from the stop. */
uint8_t hal_i2c_start(uint8_t bus, uint8_t address_octet);
uint8_t hal_i2c_write(uint8_t bus, uint8_t octet);
uint8_t hal_i2c_read(uint8_t bus, uint8_t ack, uint8_t *octet); /* ack 0: the last of the message */
uint8_t hal_i2c_stop(uint8_t bus); /* only lets go where arbitration was lost */
/* Instead of the first three where HW_I2C_WHOLE is defined: payload and reply of a whole I2C_XFER
 * that is well formed; returns the octets of the reply. hal_i2c_stop then forgets what is held. */
uint8_t hal_i2c_xfer(const uint8_t *payload, uint8_t n, uint8_t *reply);

/* --- HW_CAP_SPI ---------------------------------------------------------------------------- */

uint32_t hal_spi_config(uint8_t bus, uint8_t cs, uint8_t mode, uint32_t hz); /* Hz, 0: cannot */
/* status; a chip that is held selected may be selected again */
uint8_t hal_spi_select(uint8_t bus, uint8_t cs, uint8_t active);
uint8_t hal_spi_exchange(uint8_t bus, uint8_t octet); /* the octet read */
/* Instead of both where HW_SPI_WHOLE is defined; the octets read take the place of those sent.*/
uint8_t hal_spi_transfer(uint8_t bus, uint8_t cs, uint8_t hold, uint8_t *octets, uint8_t n);

/* --- HW_CAP_UART: ports 0 .. HW_UART_PORTS - 1, never the link's own ----------------------- */

uint32_t hal_uart_config(uint8_t port, uint32_t baud, uint8_t bits, uint8_t parity, uint8_t stop);
uint8_t hal_uart_write(uint8_t port, const uint8_t *octets, uint8_t n); /* octets taken */
/* Received octets, at most room of them; *t_us of the first, *errors: 1 overrun, 2 framing,
 * 4 parity, 8 break. */
uint8_t hal_uart_take(uint8_t port, uint8_t *octets, uint8_t room, uint32_t *t_us, uint8_t *errors);

/* --- HW_CAP_GPIO --------------------------------------------------------------------------- */

uint8_t hal_gpio_config(uint8_t pin, uint8_t mode, uint8_t edges); /* status */
uint8_t hal_gpio_write(uint8_t pin, uint8_t level);                /* status */
uint8_t hal_gpio_read(uint8_t pin, uint8_t *level);                /* status */
/* The oldest edge not yet told, 0 if there is none. Lost ones: hw_count(HW_EVENTS_LOST). */
uint8_t hal_gpio_edge(uint8_t *pin, uint8_t *level, uint32_t *t_us);

/* --- HW_CAP_CAN: buses 0 .. HW_CAN_BUSES - 1 ----------------------------------------------- */

uint8_t hal_can_config(uint8_t bus, uint32_t bitrate, uint32_t data_bitrate, uint8_t flags);
uint8_t hal_can_send(uint8_t bus, uint32_t id, uint8_t flags, const uint8_t *octets, uint8_t n);
/* One received frame: id, flags and at most 64 octets as in struct canfd_frame; its number of
 * octets, or -1 if there is none. */
int hal_can_take(uint8_t bus, uint32_t *t_us, uint32_t *id, uint8_t *flags, uint8_t *octets);
/* 1 where state (0 active, 1 warning, 2 passive, 3 bus-off) or a counter is another than told. */
uint8_t hal_can_changed(uint8_t bus, uint8_t state_tec_rec[3]);

/* --- HW_CAP_I2C_TARGET, HW_CAP_SPI_TARGET: slots 0 .. HW_TARGET_SLOTS - 1 ------------------------------------- */

/* Answer to this address from now on (on = 1) or no more (on = 0): status. Called from the main
 * loop; the HAL's interrupt calls hw_target_start and its fellows of hilwire.h, which call
 * hal_micros. Where HW_TARGET_SWITCHED is defined it is switched off while the image is stale, but not
 * an SPI target, whose address has HW_SPI_TARGET in its high octet. */
uint8_t hal_target_listen(uint8_t slot, uint8_t bus, uint16_t address, uint8_t on);
/* Keep the target's interrupt from running (the hardware stretches the clock), and let it run again;
 * a board without interrupts looks at its wires in hal_target_unlock. */
void hal_target_lock(void);
void hal_target_unlock(void);

#endif
