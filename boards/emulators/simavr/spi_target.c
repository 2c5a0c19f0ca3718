/* A controller of the bench on the SPI, and the interface as its peripheral (data sheet section 19.3): one shift
 * register, which is written by SPDR between two octets only, and has what came in behind each octet.
 *
 * A plan is SCK in Hz, mode, chip select, the time between chip select and the clock and the time that the
 * clock rests between two octets, both in ns, then the octets to send. An octet is complete with the edge that
 * takes its last bit; half a period and the rest later the next one begins, and SPDR must be written by then.
 * How long that took is told in cycles, and how many octets began without. A peripheral of another mode takes
 * each bit one late. GPL note: runner.h. */
#include "runner.h"

#include <string.h>

enum { PLAN_NBYTES = 600, HEAD_NBYTES = 14, DONE_HEAD_NBYTES = 9 };
enum { SPE = 0x40, DORD = 0x20, MSTR = 0x10, CPOL_CPHA = 0x0C, WCOL = 0x40, MISO = 1 << 4 };
enum { AT_REST, BETWEEN, SHIFTS, STOPS };

static uint8_t plan[PLAN_NBYTES], heard[PLAN_NBYTES];
static int plan_n, at;
static uint8_t state, shifter = 0xFF, late;
static int waiting; /* SPDR is to be written before the next octet */
static unsigned half_bit_cycles, lead_cycles, gap_cycles;
static avr_cycle_count_t since, longest, began;

static uint8_t ordered(uint8_t octet)
{
    uint8_t other = 0;
    if (!(cpu->data[SPCR_] & DORD)) {
        return octet;
    }
    for (int bit = 0; bit < 8; bit++) {
        other = (uint8_t)(other << 1 | (octet >> bit & 1));
    }
    return other;
}

static int is_peripheral(void)
{
    uint8_t control = cpu->data[SPCR_];
    return (control & SPE) && !(control & MSTR) && plan[5] == 0;
}

static void shift(void)
{
    int ours = is_peripheral(), fits = (cpu->data[SPCR_] & CPOL_CPHA) >> 2 == plan[4];
    uint8_t in = plan[HEAD_NBYTES + at], out = 0xFF;
    if (ours) {
        uint8_t sent = ordered(shifter);
        out = cpu->data[PINB_ + 1] & MISO ? (fits ? sent : (uint8_t)(sent >> 1 | 0x80)) : 0xFF;
        shifter = ordered(fits ? in : (uint8_t)(in >> 1 | 0x80));
        spi_came(shifter);
    }
    heard[at++] = out;
    waiting = ours;
    since = cpu->cycle;
}

static void tell(void)
{
    uint8_t octets[PLAN_NBYTES + DONE_HEAD_NBYTES];
    put32(octets, (uint32_t)longest);
    octets[4] = late;
    put32(octets + 5, (uint32_t)(cpu->cycle - began));
    memcpy(octets + DONE_HEAD_NBYTES, heard, (size_t)at);
    state = AT_REST;
    wires_tell(WIRE_SPI_DONE, octets, DONE_HEAD_NBYTES + at);
}

static avr_cycle_count_t run(avr_t *avr, avr_cycle_count_t when, void *param)
{
    (void)avr, (void)param;
    switch (state) {
    case BETWEEN:
        if (waiting) {
            late++;
            waiting = 0;
            longest = cpu->cycle - since > longest ? cpu->cycle - since : longest;
        }
        state = SHIFTS;
        return when + 15 * half_bit_cycles;
    case SHIFTS:
        shift();
        if (HEAD_NBYTES + at < plan_n) {
            state = BETWEEN;
            return when + half_bit_cycles + gap_cycles;
        }
        state = STOPS;
        return when + half_bit_cycles + lead_cycles;
    default:
        waiting = 0;
        if (plan[5] == 0) {
            pins_select(1);
        }
        tell();
        return 0;
    }
}

int spi_target_busy(void)
{
    return state != AT_REST;
}

void spi_target_write(uint8_t octet)
{
    if (state == SHIFTS && is_peripheral()) {
        spi_flags(0, WCOL);
        return;
    }
    shifter = octet;
    if (waiting) {
        waiting = 0;
        longest = cpu->cycle - since > longest ? cpu->cycle - since : longest;
    }
}

void spi_controller(const uint8_t *octets, int n)
{
    if (state != AT_REST) {
        fail("the bench has two SPI transactions at once");
    }
    memcpy(plan, octets, (size_t)n);
    plan_n = n;
    uint32_t hz = get32(plan), cycles_per_us = cpu->frequency / 1000000;
    half_bit_cycles = cpu->frequency / (hz ? 2 * hz : 200000);
    lead_cycles = get32(plan + 6) / 1000 * cycles_per_us;
    gap_cycles = (unsigned)((uint64_t)get32(plan + 10) * cycles_per_us / 1000);
    at = late = waiting = 0;
    longest = 0;
    began = cpu->cycle;
    state = BETWEEN;
    if (plan[5] == 0) {
        pins_select(0);
    }
    avr_cycle_timer_register(cpu, lead_cycles + half_bit_cycles, run, NULL);
}

/* A reset is the board's own: what the controller has begun it ends. */
void spi_target_reset(void)
{
    waiting = 0;
    shifter = 0xFF;
}
