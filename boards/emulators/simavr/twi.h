/* What the two halves of the two-wire interface share. GPL note: runner.h. */
#ifndef TWI_H
#define TWI_H

#include "runner.h"

enum { TWINT = 0x80, TWEA = 0x40, TWSTA = 0x20, TWSTO = 0x10, TWWC = 0x08, TWEN = 0x04, TWIE = 0x01 };

/* Status codes (data sheet tables 22-2 to 22-6). */
enum {
    TW_BUS_ERROR = 0x00, TW_START = 0x08, TW_REP_START = 0x10, TW_MT_SLA_ACK = 0x18, TW_MT_SLA_NACK = 0x20,
    TW_MT_DATA_ACK = 0x28, TW_MT_DATA_NACK = 0x30, TW_ARB_LOST = 0x38, TW_MR_SLA_ACK = 0x40, TW_MR_SLA_NACK = 0x48,
    TW_MR_DATA_ACK = 0x50, TW_MR_DATA_NACK = 0x58, TW_SR_SLA_ACK = 0x60, TW_SR_GCALL_ACK = 0x70,
    TW_SR_DATA_ACK = 0x80, TW_SR_DATA_NACK = 0x88, TW_SR_GCALL_DATA_ACK = 0x90, TW_SR_GCALL_DATA_NACK = 0x98,
    TW_SR_STOP = 0xA0, TW_ST_SLA_ACK = 0xA8, TW_ST_DATA_ACK = 0xB8, TW_ST_DATA_NACK = 0xC0, TW_ST_LAST_DATA = 0xC8,
    TW_NO_INFO = 0xF8,
};

enum { BUS_FREE, BUS_CPU, BUS_BENCH };
enum { NOT_ADDRESSED, RECEIVES, RECEIVES_GENERAL_CALL, TRANSMITS };

struct twi {
    uint8_t owner;     /* of the bus */
    uint8_t addressed; /* as target */
    uint8_t held;      /* lines that somebody keeps low: a fault */
    uint8_t clocks;    /* pulses of SCL after which SDA is let go; 0: never */
};
extern struct twi twi;

void twi_flag(uint8_t status);    /* TWINT with a status */
int twi_flagged(void);
void twi_clock_released(void);    /* twi_target.c: TWINT was cleared, the clock goes on */
int twi_target_busy(void);
uint8_t twi_target_pulls(void);   /* lines that the bench's controller keeps low while the board holds the clock */

#endif
