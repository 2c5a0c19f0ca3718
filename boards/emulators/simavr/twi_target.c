/* A controller of the bench on the bus, and the two-wire interface as its target (data sheet section 22.7).
 *
 * It runs one plan at a time: SCL in Hz, the longest hold that is endured in ms, then messages of an address
 * octet and a length, with their data where they are written. While TWINT is set the board holds the clock:
 * how long is told in cycles, for the longest octet and in sum. GPL note: runner.h. */
#include "twi.h"

#include <string.h>

enum { PLAN_NBYTES = 600, PLAN_HEAD_NBYTES = 6, DONE_HEAD_NBYTES = 15 };
enum { AT_REST, WAITS_FOR_BUS, STARTED, ADDRESSED, NEXT_OCTET, OCTET_DONE, STOPS };
/* As flightsw.codec.wire.Status. */
enum { OK = 0, NAK_ADDRESS = 1, NAK_DATA = 2, TIMEOUT = 4, STUCK = 5 };

static uint8_t plan[PLAN_NBYTES], heard[PLAN_NBYTES];
static int plan_n, at, heard_n; /* at: the message under way, its address octet */
static uint8_t state, next_state, status, message, taken, index_in;
static unsigned bit_cycles, limit_cycles;
static int waiting; /* the board holds the clock */
static avr_cycle_count_t since, longest, in_sum, began;

static avr_cycle_count_t run(avr_t *avr, avr_cycle_count_t when, void *param);

static void next(uint8_t then, unsigned bits)
{
    state = then;
    avr_cycle_timer_register(cpu, (avr_cycle_count_t)bits * bit_cycles, run, NULL);
}

/* Go on after so many bits, and not before the board lets the clock go. */
static void next_when_released(uint8_t then)
{
    if (twi_flagged()) {
        waiting = 1;
        next_state = then;
        since = cpu->cycle;
        state = then;
        avr_cycle_timer_register(cpu, limit_cycles, run, NULL);
    } else {
        next(then, 0);
    }
}

void twi_clock_released(void)
{
    if (!waiting) {
        return;
    }
    waiting = 0;
    avr_cycle_count_t held = cpu->cycle - since;
    in_sum += held;
    longest = held > longest ? held : longest;
    avr_cycle_timer_cancel(cpu, run, NULL);
    next(next_state, 0);
}

int twi_target_busy(void) { return state != AT_REST; }

/* Behind a START, repeated or not, SDA is low: so a target tells it from STOP. */
uint8_t twi_target_pulls(void) { return state == STARTED ? SDA : 0; }

void twi_controller(const uint8_t *octets, int n)
{
    if (state != AT_REST) {
        fail("the bench has two transactions at once");
    }
    memcpy(plan, octets, (size_t)n);
    plan_n = n;
    at = PLAN_HEAD_NBYTES;
    heard_n = 0;
    status = message = taken = 0;
    longest = in_sum = 0;
    uint32_t hz = get32(plan);
    bit_cycles = cpu->frequency / (hz ? hz : 100000);
    limit_cycles = cpu->frequency / 1000 * (plan[4] | plan[5] << 8);
    began = cpu->cycle;
    next(WAITS_FOR_BUS, 1);
}

static void tell(void)
{
    uint8_t octets[PLAN_NBYTES] = {status, status ? message : 0xFF, taken};
    put32(octets + 3, (uint32_t)longest);
    put32(octets + 7, (uint32_t)in_sum);
    put32(octets + 11, (uint32_t)(cpu->cycle - began));
    memcpy(octets + DONE_HEAD_NBYTES, heard, (size_t)heard_n);
    state = AT_REST;
    wires_tell(WIRE_TARGET_DONE, octets, DONE_HEAD_NBYTES + heard_n);
}

/* The target sees STOP, or a repeated START, in the middle of what it receives. */
static void end_of_message(void)
{
    int received = twi.addressed == RECEIVES || twi.addressed == RECEIVES_GENERAL_CALL;
    twi.addressed = NOT_ADDRESSED;
    if (received) {
        twi_flag(TW_SR_STOP);
    }
}

static void stop_with(uint8_t why)
{
    status = why;
    next(STOPS, 1);
}

static void address(void)
{
    uint8_t octet = plan[at], own = cpu->data[TWAR_], control = cpu->data[TWCR_];
    uint8_t care = (uint8_t)~cpu->data[TWAMR_] & 0xFE;
    int general = octet == 0 && (own & 1), mine = ((octet ^ own) & care) == 0;
    if (!(control & TWEN) || !(control & TWEA) || !(mine || general)) {
        stop_with(NAK_ADDRESS);
        return;
    }
    index_in = 0;
    if (octet & 1) {
        twi.addressed = TRANSMITS;
        twi_flag(TW_ST_SLA_ACK);
    } else {
        twi.addressed = mine ? RECEIVES : RECEIVES_GENERAL_CALL;
        twi_flag(mine ? TW_SR_SLA_ACK : TW_SR_GCALL_ACK);
    }
    next_when_released(NEXT_OCTET);
}

static void next_message(void)
{
    at += 2 + (plan[at] & 1 ? 0 : plan[at + 1]);
    message++;
    if (at < plan_n) {
        end_of_message();
        next_when_released(STARTED);
    } else {
        next(STOPS, 1);
    }
}

static void octet_to_board(void)
{
    int general = twi.addressed == RECEIVES_GENERAL_CALL;
    if (!(cpu->data[TWCR_] & TWEN) || twi.addressed == NOT_ADDRESSED) {
        taken = index_in;
        stop_with(NAK_DATA);
        return;
    }
    cpu->data[TWDR_] = plan[at + 2 + index_in];
    if (cpu->data[TWCR_] & TWEA) {
        index_in++;
        twi_flag(general ? TW_SR_GCALL_DATA_ACK : TW_SR_DATA_ACK);
        next_when_released(NEXT_OCTET);
    } else {
        taken = index_in;
        twi.addressed = NOT_ADDRESSED;
        twi_flag(general ? TW_SR_GCALL_DATA_NACK : TW_SR_DATA_NACK);
        stop_with(NAK_DATA);
    }
}

static void octet_from_board(void)
{
    int last = index_in + 1 == plan[at + 1], ours = twi.addressed == TRANSMITS && (cpu->data[TWCR_] & TWEN);
    heard[heard_n++] = ours ? cpu->data[TWDR_] : 0xFF;
    index_in++;
    if (ours) {
        int more = cpu->data[TWCR_] & TWEA;
        if (last || !more) {
            twi.addressed = NOT_ADDRESSED;
        }
        twi_flag(last ? TW_ST_DATA_NACK : more ? TW_ST_DATA_ACK : TW_ST_LAST_DATA);
    }
    next_when_released(NEXT_OCTET);
}

/* The bits of the last step are over. */
static avr_cycle_count_t run(avr_t *avr, avr_cycle_count_t when, void *param)
{
    (void)avr;
    (void)param;
    if (waiting) { /* held for too long */
        waiting = 0;
        in_sum += limit_cycles;
        longest = limit_cycles;
        twi.addressed = NOT_ADDRESSED;
        stop_with(TIMEOUT);
        return 0;
    }
    switch (state) {
    case WAITS_FOR_BUS:
        if (twi.owner != BUS_FREE || twi.held) {
            if (when - began > limit_cycles) {
                status = STUCK;
                tell();
                return 0;
            }
            return when + bit_cycles;
        }
        twi.owner = BUS_BENCH;
        next_when_released(STARTED);
        break;
    case STARTED:
        next(ADDRESSED, 10);
        break;
    case ADDRESSED:
        address();
        break;
    case NEXT_OCTET:
        if (index_in == plan[at + 1]) {
            next_message();
        } else {
            next(OCTET_DONE, 9);
        }
        break;
    case OCTET_DONE:
        (plan[at] & 1 ? octet_from_board : octet_to_board)();
        break;
    default:
        end_of_message();
        twi.owner = BUS_FREE;
        tell();
    }
    return 0;
}
