/* Pins by their printed numbers: D2 to D9, A0 to A3 as 14 to 17 (section 13); edges by pin change
 * interrupts (section 13.2). */
#include "avr.h"

enum { EDGES = 8, RISING = 1, FALLING = 2 };
enum { IN, IN_PULL_UP, IN_PULL_DOWN, OUT_LOW, OUT_HIGH, OPEN_DRAIN };
enum { PORT_B, PORT_C, PORT_D };

static uint8_t rising[3], falling[3], last[3], open_drain[3];
static volatile struct {
    uint8_t pin, level;
    uint32_t t_us;
} ring[EDGES];
static volatile uint8_t head, tail;

/* Port and bit of a pin; 0: no such pin. */
static uint8_t place(uint8_t pin, uint8_t *port)
{
    if (pin >= 2 && pin <= 7) {
        *port = PORT_D;
        return (uint8_t)(1 << pin);
    }
    if (pin == 8 || pin == 9) {
        *port = PORT_B;
        return (uint8_t)(1 << (pin - 8));
    }
    *port = PORT_C;
    return pin >= 14 && pin <= 17 ? (uint8_t)(1 << (pin - 14)) : 0;
}

/* The three registers of a port lie side by side: PIN, DDR, PORT. */
static volatile uint8_t *pins(uint8_t port) { return &PINB + 3 * port; }

static void changed(uint8_t port)
{
    static const uint8_t first[] = {8, 14, 0};
    uint32_t t_us = hal_micros();
    uint8_t now = *pins(port), moved = now ^ last[port];
    uint8_t wanted = moved & ((now & rising[port]) | (uint8_t)(~now & falling[port]));
    last[port] = now;
    for (uint8_t bit = 0; wanted; bit++, wanted >>= 1) {
        uint8_t next = (head + 1) & (EDGES - 1);
        if (!(wanted & 1))
            continue;
        if (next == tail) {
            hw_count(HW_EVENTS_LOST);
            continue;
        }
        ring[head].pin = first[port] + bit;
        ring[head].level = now >> bit & 1;
        ring[head].t_us = t_us;
        head = next;
    }
}

ISR(PCINT0_vect)
{
    spi_edge();
    if (rising[PORT_B] | falling[PORT_B])
        changed(PORT_B);
}

ISR(PCINT1_vect) { changed(PORT_C); }
ISR(PCINT2_vect) { changed(PORT_D); }

uint8_t gpio_waits(void) { return head != tail; }

uint8_t hal_gpio_edge(uint8_t *pin, uint8_t *level, uint32_t *t_us)
{
    uint8_t at = tail;
    if (at == head)
        return 0;
    *pin = ring[at].pin;
    *level = ring[at].level;
    *t_us = ring[at].t_us;
    tail = (at + 1) & (EDGES - 1);
    return 1;
}

static void drive(volatile uint8_t *at, uint8_t bit, uint8_t out, uint8_t high)
{
    uint8_t state = SREG;
    cli();
    at[2] = high ? at[2] | bit : at[2] & (uint8_t)~bit;
    at[1] = out ? at[1] | bit : at[1] & (uint8_t)~bit;
    SREG = state;
}

uint8_t hal_gpio_config(uint8_t pin, uint8_t mode, uint8_t edges)
{
    uint8_t port, bit = place(pin, &port);
    if (!bit || mode > OPEN_DRAIN || edges > (RISING | FALLING))
        return HW_INVALID;
    if (mode == IN_PULL_DOWN)
        return HW_UNSUPPORTED;
    volatile uint8_t *at = pins(port), *mask = &PCMSK0 + port;
    drive(at, bit, mode == OUT_LOW || mode == OUT_HIGH, mode == IN_PULL_UP || mode == OUT_HIGH);
    open_drain[port] = mode == OPEN_DRAIN ? open_drain[port] | bit : open_drain[port] & (uint8_t)~bit;
    cli();
    rising[port] = edges & RISING ? rising[port] | bit : rising[port] & (uint8_t)~bit;
    falling[port] = edges & FALLING ? falling[port] | bit : falling[port] & (uint8_t)~bit;
    last[port] = *at;
    *mask = rising[port] | falling[port] | (port == PORT_B ? spi_watched : 0);
    PCICR = *mask ? PCICR | (uint8_t)(1 << port) : PCICR & (uint8_t) ~(1 << port);
    sei();
    return HW_OK;
}

uint8_t hal_gpio_write(uint8_t pin, uint8_t level)
{
    uint8_t port, bit = place(pin, &port);
    volatile uint8_t *at = pins(port);
    if (!bit)
        return HW_INVALID;
    if (open_drain[port] & bit)
        drive(at, bit, !level, 0);
    else if (at[1] & bit)
        drive(at, bit, 1, level);
    else
        return HW_INVALID; /* an input: writing it would switch its pull-up */
    return HW_OK;
}

uint8_t hal_gpio_read(uint8_t pin, uint8_t *level)
{
    uint8_t port, bit = place(pin, &port);
    if (!bit)
        return HW_INVALID;
    *level = !!(*pins(port) & bit);
    return HW_OK;
}
