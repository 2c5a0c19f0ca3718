/* Two-wire serial interface of the ATmega328P (data sheet section 22): registers, and the controller.
 *
 * An octet and its acknowledge take nine clocks of TWBR and prescaler, START and STOP one; the flag
 * TWINT holds the clock until software clears it. START waits for a free bus, for ever if need be, as
 * silicon does; so does all else while somebody holds a line. The target is twi_target.c. GPL note: runner.h. */
#include "twi.h"

#include <string.h>

enum { PREFETCH_NBYTES = 64, ANSWER_HEAD_NBYTES = 5 };
enum { OP_NONE, OP_START, OP_OCTET, OP_STOP, OP_FINISH };
/* What the next octet is, seen from the controller. */
enum { SENDS_ADDRESS, SENDS, HEARS, DONE_HEARING };

struct twi twi;
static struct line flag_line;
static uint8_t op, phase, next_status;
static uint8_t fetched[PREFETCH_NBYTES];
static int fetched_n, fetched_at, clocked; /* clocked: octets read in this message */
static int acked;
static avr_cycle_count_t slow_cycles;
static uint8_t started;    /* 1: by START, 2: by a repeated one */
static uint8_t pulled_low; /* lines that the port pulls low while the interface is off */

static uint8_t control(void) { return cpu->data[TWCR_]; }

static unsigned bit_cycles(void)
{
    return 16 + 2u * cpu->data[TWBR_] * (1u << 2 * (cpu->data[TWSR_] & 3));
}

static avr_cycle_count_t step(avr_t *avr, avr_cycle_count_t when, void *param);

static void begin(uint8_t what, unsigned bits)
{
    op = what;
    avr_cycle_timer_register(cpu, (avr_cycle_count_t)bits * bit_cycles(), step, NULL);
}

int twi_flagged(void) { return cpu->data[TWCR_] & TWINT; }

void twi_flag(uint8_t status)
{
    cpu->data[TWSR_] = (uint8_t)((cpu->data[TWSR_] & 3) | status);
    cpu->data[TWCR_] |= TWINT;
    line_set(&flag_line, 1);
}

/* --- controller ------------------------------------------------------------------------------------- */

/* Tell which message ends here: a read takes from the part just the octets that were clocked. */
static void tell_end(uint8_t kind, uint8_t *octets, int at)
{
    octets[at] = (uint8_t)clocked;
    octets[at + 1] = (uint8_t)(clocked >> 8);
    clocked = fetched_n = fetched_at = 0;
    if (kind == WIRE_STOP) {
        wires_tell(kind, octets, at + 2);
    }
}

/* An answer: acknowledged, nanoseconds for which the part holds the clock, octets to be read. */
static void ask(uint8_t kind, const uint8_t *octets, int n)
{
    uint8_t answer[ANSWER_HEAD_NBYTES + PREFETCH_NBYTES] = {0};
    int got = wires_ask(kind, octets, n, answer, sizeof answer);
    acked = got > 0 && answer[0];
    slow_cycles = got >= ANSWER_HEAD_NBYTES ? (uint64_t)get32(answer + 1) * 2 / 125 : 0;
    fetched_at = 0;
    fetched_n = got > ANSWER_HEAD_NBYTES ? got - ANSWER_HEAD_NBYTES : 0;
    memcpy(fetched, answer + ANSWER_HEAD_NBYTES, (size_t)fetched_n);
}

/* The octet is over: the flag comes, later where the part holds the clock. */
static void over(uint8_t status)
{
    counted[N_TWI_BYTES]++;
    if (slow_cycles) {
        op = OP_FINISH;
        next_status = status;
    } else {
        twi_flag(status);
    }
}

static void address_sent(void)
{
    uint8_t octet = cpu->data[TWDR_], octets[4] = {octet, started == 2};
    tell_end(WIRE_START, octets, 2);
    ask(WIRE_START, octets, 4);
    if (octet & 1) {
        phase = acked ? HEARS : DONE_HEARING;
        over(acked ? TW_MR_SLA_ACK : TW_MR_SLA_NACK);
    } else {
        phase = SENDS;
        over(acked ? TW_MT_SLA_ACK : TW_MT_SLA_NACK);
    }
}

static void octet_heard(void)
{
    slow_cycles = 0;
    if (fetched_at == fetched_n) {
        uint8_t octets[2] = {(uint8_t)clocked, (uint8_t)(clocked >> 8)};
        ask(WIRE_MORE, octets, 2);
    }
    cpu->data[TWDR_] = fetched_at < fetched_n ? fetched[fetched_at++] : 0xFF;
    clocked++;
    phase = control() & TWEA ? HEARS : DONE_HEARING;
    over(control() & TWEA ? TW_MR_DATA_ACK : TW_MR_DATA_NACK);
}

static void octet_sent(void)
{
    if (twi.held & SDA) { /* somebody pulls the line on which a 1 goes out */
        twi.owner = BUS_FREE;
        twi_flag(TW_ARB_LOST);
    } else if (phase == SENDS_ADDRESS) {
        address_sent();
    } else {
        uint8_t octet = cpu->data[TWDR_];
        ask(WIRE_WRITE, &octet, 1);
        over(acked ? TW_MT_DATA_ACK : TW_MT_DATA_NACK);
    }
}

static void start_sent(void)
{
    counted[N_TWI_STARTS]++;
    started = twi.owner == BUS_CPU ? 2 : 1;
    twi.owner = BUS_CPU;
    phase = SENDS_ADDRESS;
    twi_flag(started == 2 ? TW_REP_START : TW_START);
}

static void stop_sent(void)
{
    uint8_t octets[2];
    tell_end(WIRE_STOP, octets, 0);
    twi.owner = BUS_FREE;
    cpu->data[TWCR_] &= (uint8_t)~TWSTO;
    op = control() & TWSTA ? OP_START : OP_NONE;
}

/* Bits are over. A line that is held stops everything where it is, until it is let go. */
static avr_cycle_count_t step(avr_t *avr, avr_cycle_count_t when, void *param)
{
    (void)avr, (void)param;
    uint8_t was = op;
    if (twi.held & SCL || (was != OP_OCTET && twi.held) || (was == OP_START && twi.owner == BUS_BENCH)) {
        return when + bit_cycles();
    }
    op = OP_NONE;
    if (was == OP_START) {
        start_sent();
    } else if (was == OP_STOP) {
        stop_sent();
    } else if (was == OP_FINISH) {
        twi_flag(next_status);
    } else if (phase == HEARS) {
        octet_heard();
    } else {
        octet_sent();
    }
    return op == OP_NONE ? 0 : when + (op == OP_FINISH ? slow_cycles : bit_cycles());
}

/* --- registers -------------------------------------------------------------------------------------- */

static void switched_off(void)
{
    avr_cycle_timer_cancel(cpu, step, NULL);
    if (twi.owner == BUS_CPU) {
        uint8_t octets[2];
        tell_end(WIRE_STOP, octets, 0);
        twi.owner = BUS_FREE;
    }
    op = OP_NONE;
    twi.addressed = NOT_ADDRESSED;
    cpu->data[TWSR_] |= TW_NO_INFO;
    twi_clock_released();
}

/* The flag is down: the interface goes on as the other bits say (tables 22-2 to 22-6). */
static void go_on(uint8_t value, int was_flagged)
{
    if (op == OP_START && !(value & TWSTA)) {
        avr_cycle_timer_cancel(cpu, step, NULL);
        op = OP_NONE;
    }
    if (twi.owner != BUS_CPU && (value & TWSTO)) { /* let go of the lines, be addressed anew */
        cpu->data[TWCR_] &= (uint8_t)~TWSTO;
        twi.addressed = NOT_ADDRESSED;
    }
    if (twi.owner != BUS_CPU && was_flagged) {
        twi_clock_released();
    }
    if (op != OP_NONE) {
        return;
    }
    if (twi.owner == BUS_CPU && (value & TWSTO)) {
        begin(OP_STOP, 1);
    } else if (value & TWSTA) {
        begin(OP_START, 1);
    } else if (twi.owner == BUS_CPU && was_flagged && phase != DONE_HEARING) {
        begin(OP_OCTET, 9);
    }
}

static void write_control(avr_t *avr, avr_io_addr_t at, uint8_t value, void *param)
{
    (void)param;
    uint8_t was = avr->data[at], flag = was & TWINT;
    uint8_t kept = (uint8_t)((was & TWWC) | (value & TWINT ? 0 : flag));
    avr->data[at] = (uint8_t)((value & (TWEA | TWSTA | TWSTO | TWEN | TWIE)) | kept);
    line_set(&flag_line, kept & TWINT);
    if (!(value & TWEN)) {
        avr->data[at] &= (uint8_t)~TWSTO;
        if (was & TWEN) {
            switched_off();
        }
    } else if (!(kept & TWINT)) {
        avr->data[TWSR_] |= TW_NO_INFO;
        go_on(value, flag);
    }
}

static void write_data(avr_t *avr, avr_io_addr_t at, uint8_t value, void *param)
{
    (void)param;
    if (avr->data[TWCR_] & TWINT) {
        avr->data[at] = value;
        avr->data[TWCR_] &= (uint8_t)~TWWC;
    } else {
        avr->data[TWCR_] |= TWWC;
    }
}

static void write_status(avr_t *avr, avr_io_addr_t at, uint8_t value, void *param)
{
    (void)param;
    avr->data[at] = (uint8_t)((avr->data[at] & TW_NO_INFO) | (value & 3));
}

/* --- lines ------------------------------------------------------------------------------------------ */

uint8_t twi_lines(void) { return (uint8_t)((SDA | SCL) & ~twi.held & ~pulled_low & ~twi_target_pulls()); }

void twi_hold(uint8_t lines, uint8_t clocks)
{
    twi.held = lines & (SDA | SCL);
    twi.clocks = clocks;
}

/* With the interface off the port may clock the bus: who keeps SDA low lets go after so many pulses. */
void twi_pins_moved(uint8_t low)
{
    int rises = (pulled_low & SCL) && !(low & SCL);
    pulled_low = low;
    if (rises && (twi.held & SDA) && twi.clocks && --twi.clocks == 0) {
        twi.held &= (uint8_t)~SDA;
    }
}

int twi_busy(void) { return op != OP_NONE || twi_target_busy(); }

void twi_init(void)
{
    line_init(&flag_line, VECTOR_TWI, TWCR_, 0);
    own_register(TWBR_, NULL, NULL);
    own_register(TWSR_, NULL, write_status);
    own_register(TWAR_, NULL, NULL);
    own_register(TWAMR_, NULL, NULL);
    own_register(TWDR_, NULL, write_data);
    own_register(TWCR_, NULL, write_control);
}

void twi_reset(void)
{
    cpu->data[TWCR_] = 0;
    switched_off();
    pulled_low = 0;
    cpu->data[TWBR_] = cpu->data[TWAMR_] = 0;
    cpu->data[TWSR_] = TW_NO_INFO;
    cpu->data[TWDR_] = 0xFF;
    cpu->data[TWAR_] = 0xFE;
    line_set(&flag_line, 0);
}
