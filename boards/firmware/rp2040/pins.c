/* GPIO of the Pico: the pins that no bus has; edges are stamped by the interrupt (2.19.3). */
#include "rp2040.h"

#define EDGES_SEEN(pin) REG(0x400140F0 + (pin) / 8u * 4)
#define EDGES_WANTED(pin) REG(0x40014100 + (pin) / 8u * 4)
#define EDGES_NOW(word) REG(0x40014120 + (word) * 4u)

enum { FALLING = 4, RISING = 8, QUEUE = 16 };
enum { MODE_IN, MODE_PULL_UP, MODE_PULL_DOWN, MODE_LOW, MODE_HIGH, MODE_OPEN_DRAIN, MODES };
/* GP2, GP3, GP6-GP15, GP20-GP22, GP25-GP28 */
enum { FREE_PINS = 0xC | 0xFFC0 | 0x700000 | 0x1E000000 };

static volatile struct {
    uint8_t pin, level;
    uint32_t t_us;
} queue[QUEUE];
static volatile uint8_t put, taken; /* both count on */
static uint32_t open_drain;         /* pins in this mode */

static uint8_t is_free(uint8_t pin) { return pin < 32 && (uint32_t)FREE_PINS >> pin & 1; }

static void edge(uint8_t pin, uint8_t level, uint32_t t_us)
{
    if ((uint8_t)(put - taken) == QUEUE) {
        hw_count(HW_EVENTS_LOST);
        return;
    }
    queue[put % QUEUE].pin = pin;
    queue[put % QUEUE].level = level;
    queue[put % QUEUE].t_us = t_us;
    put++;
}

void pins_irq(void)
{
    uint32_t t_us = hal_micros();
    for (uint8_t pin = 0; pin < 30; pin++) {
        uint32_t events = EDGES_NOW(pin / 8) >> 4 * (pin & 7) & (RISING | FALLING);
        if (!events)
            continue;
        EDGES_SEEN(pin) = events << 4 * (pin & 7);
        if (events & RISING)
            edge(pin, 1, t_us);
        if (events & FALLING)
            edge(pin, 0, t_us);
    }
}

uint8_t chip_waits(void) { return put != taken; }

void pins_init(void) { chip_irq_enable(HW_WAKE_IRQ); }

static void drive(uint8_t pin, uint8_t level)
{
    uint32_t bit = 1u << pin;
    if (open_drain & bit) {
        if (level)
            SIO_OE_CLEAR = bit;
        else
            SIO_OE_SET = bit;
    } else if (level) {
        SIO_OUT_SET = bit;
    } else {
        SIO_OUT_CLEAR = bit;
    }
}

uint8_t hal_gpio_config(uint8_t pin, uint8_t mode, uint8_t edges)
{
    uint32_t bit = 1u << (pin & 31), shift = 4 * (pin & 7);
    if (!is_free(pin) || mode >= MODES || edges > 3)
        return HW_INVALID;
    EDGES_WANTED(pin) &= ~(15u << shift); /* the change of mode is none */
    open_drain &= ~bit;
    SIO_OE_CLEAR = bit;
    if (mode == MODE_OPEN_DRAIN) {
        open_drain |= bit;
        SIO_OUT_CLEAR = bit;
    } else if (mode == MODE_LOW || mode == MODE_HIGH) {
        drive(pin, mode == MODE_HIGH);
        SIO_OE_SET = bit;
    }
    pin_function(pin, PIN_SIO,
                 mode == MODE_PULL_UP || mode == MODE_OPEN_DRAIN ? PAD_PULL_UP
                 : mode == MODE_PULL_DOWN                        ? PAD_PULL_DOWN
                                                                 : 0);
    EDGES_SEEN(pin) = (uint32_t)(RISING | FALLING) << shift;
    EDGES_WANTED(pin) |= (uint32_t)((edges & 1 ? RISING : 0) | (edges & 2 ? FALLING : 0)) << shift;
    return HW_OK;
}

uint8_t hal_gpio_write(uint8_t pin, uint8_t level)
{
    if (!is_free(pin))
        return HW_INVALID;
    drive(pin, level);
    return HW_OK;
}

uint8_t hal_gpio_read(uint8_t pin, uint8_t *level)
{
    if (!is_free(pin))
        return HW_INVALID;
    *level = SIO_IN >> pin & 1;
    return HW_OK;
}

uint8_t hal_gpio_edge(uint8_t *pin, uint8_t *level, uint32_t *t_us)
{
    if (put == taken)
        return 0;
    *pin = queue[taken % QUEUE].pin;
    *level = queue[taken % QUEUE].level;
    *t_us = queue[taken % QUEUE].t_us;
    taken++;
    return 1;
}
