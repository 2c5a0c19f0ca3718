/* The ATmega328P of an Arduino Uno on Debian's libsimavr, with what is around it on descriptors.
 *
 * The sources in this folder are Apache-2.0 as the rest of the project. A program that is built from
 * them is linked with libsimavr, which is GPL-3.0-or-later, and is therefore GPL-3.0 as a whole: it is
 * built on the user's own machine, is not distributed, and always runs as a process of its own.
 *
 * What libsimavr 1.6 does as the data sheet (Microchip DS40002061B) says is its own here: the core, the
 * timers, the EEPROM, the watchdog. What it does otherwise is replaced in its table of I/O registers:
 *   usart.c  its receiver holds 64 octets and never overruns, its frames are a bit too long (section 20)
 *   spi.c    its octets take 100 us at any clock, and a collision is not seen (section 19)
 *   spi_target.c  the same interface as peripheral of a controller of the bench
 *   twi.c    it answers the address with the status of data, one cycle is one microsecond (section 22)
 *   pins.c   a pin that is held low from outside reads high once its port is written; flags of pin change
 *            interrupts are set, not cleared, by writing 1 (sections 13.2.5 and 14)
 * Not modelled: synchronous and 9-bit USART frames, INT0 and INT1, ADC inputs,
 * loss of arbitration on the TWI, the 3.4 ms that writing an octet of EEPROM takes. */
#ifndef RUNNER_H
#define RUNNER_H

#include <simavr/sim_avr.h>
#include <simavr/sim_io.h>
#include <stddef.h>
#include <stdint.h>

/* Registers of the ATmega328P by their data address (section 30). */
enum {
    PINB_ = 0x23, PCIFR_ = 0x3B, SPCR_ = 0x4C, SPSR_ = 0x4D, SPDR_ = 0x4E, MCUSR_ = 0x54, PCICR_ = 0x68,
    PCMSK0_ = 0x6B, TWBR_ = 0xB8, TWSR_ = 0xB9, TWAR_ = 0xBA, TWDR_ = 0xBB, TWCR_ = 0xBC, TWAMR_ = 0xBD,
    UCSRA_ = 0xC0, UCSRB_ = 0xC1, UCSRC_ = 0xC2, UBRRL_ = 0xC4, UBRRH_ = 0xC5, UDR_ = 0xC6,
};
/* Vectors (section 12.4), counted from 0. */
enum { VECTOR_PCINT0 = 3, VECTOR_SPI = 17, VECTOR_RX = 18, VECTOR_UDRE = 19, VECTOR_TX = 20, VECTOR_TWI = 24 };

/* Lines of the I2C bus, as bits. */
enum { SDA = 1, SCL = 2 };

extern avr_t *cpu;

/* main.c: counters that the bench can ask for, in the order of hil/boards/wires.py. */
enum {
    N_RX, N_TX, N_OVERRUN, N_UNHEARD, N_TWI_STARTS, N_TWI_BYTES, N_SPI_BYTES, N_RESETS, N_RESYNCS, N_LAG_MAX_US,
    N_COUNTERS
};
extern uint32_t counted[N_COUNTERS];
void fail(const char *what) __attribute__((noreturn));

/* An interrupt whose condition is a level: a flag and its enable bit. */
struct line {
    avr_int_vector_t vector;
    int level; /* the flag, as the hardware has it */
};
void line_init(struct line *line, uint8_t vector, uint16_t enable_register, uint8_t enable_bit);
void line_set(struct line *line, int level); /* also after the enable bit has changed */

/* Registers: who answers instead of libsimavr. */
void own_register(uint16_t at, avr_io_read_t read, avr_io_write_t write);

void usart_init(int fd);
void usart_reset(void);
void usart_look(void); /* take what has come on the descriptor */
int usart_busy(void);

void spi_init(void);
void spi_reset(void);
int spi_busy(void);
void spi_flags(uint8_t clear, uint8_t set);        /* of SPSR */
void spi_came(uint8_t octet);                      /* one has been shifted in */
void spi_controller(const uint8_t *plan, int n);   /* a controller of the bench starts a transaction */
int spi_target_busy(void);
void spi_target_write(uint8_t octet);              /* SPDR is written and the interface is a peripheral */
void spi_target_reset(void);

void twi_init(void);
void twi_reset(void);
int twi_busy(void);
void twi_hold(uint8_t lines, uint8_t clocks);      /* somebody keeps lines low; SDA until so many clocks */
uint8_t twi_lines(void);                           /* levels of SDA and SCL */
void twi_pins_moved(uint8_t driven_low);           /* the port pulls these lines low (TWI off) */
void twi_controller(const uint8_t *plan, int n);   /* a controller of the bench starts a transaction */

void pins_init(void);
void pins_reset(void);
void pins_drive(uint8_t port, uint8_t mask, uint8_t value); /* levels from outside; mask: who is driven */
uint8_t pins_level(uint8_t port);
void pins_select(uint8_t level); /* SS, from outside */
void pins_look(void); /* levels may have changed: pin change interrupts */

/* wires.c: datagrams to and from the bench; hil/boards/wires.py has their contents. */
enum {
    WIRE_START = 1, WIRE_WRITE, WIRE_MORE, WIRE_STOP, WIRE_SPI, WIRE_PORT, WIRE_RATE, WIRE_TARGET_DONE, WIRE_STATUS,
    WIRE_RESET_DONE, WIRE_SPI_DONE,
    WIRE_RESET = 0x40, WIRE_TARGET, WIRE_HOLD, WIRE_DRIVE, WIRE_ASK_STATUS, WIRE_SPI_TRANSACT,
    WIRE_ANSWER = 0x80, /* with the kind that was asked */
};
void put32(uint8_t *octets, uint32_t value);
uint32_t get32(const uint8_t *octets);
void wires_init(int fd);
int wires_fd(void);
void wires_look(void);                                                  /* take what has come */
void wires_tell(uint8_t kind, const uint8_t *octets, int n);            /* no answer */
int wires_ask(uint8_t kind, const uint8_t *octets, int n, uint8_t *answer, int room); /* answer or -1 */

/* main.c: what the bench does to the whole board. */
void board_reset(uint8_t cause, uint8_t hold);

#endif
