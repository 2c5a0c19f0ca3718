/* Ports B, C and D of the ATmega328P (data sheet sections 13.2 and 14.2): direction, pull-ups, toggling by
 * writing PIN, levels from outside, pin change interrupts. GPL note: runner.h. */
#include "runner.h"

#include <string.h>

enum { N_PORTS = 3, PORT_C = 1, SDA_BIT = 4, SCL_BIT = 5, TWEN = 0x04 };

static struct line change_lines[N_PORTS];
static uint8_t driven[N_PORTS], outside[N_PORTS], last[N_PORTS], told[N_PORTS][2];

static unsigned pin_at(unsigned port) { return PINB_ + 3 * port; }

uint8_t pins_level(uint8_t port)
{
    uint8_t ddr = cpu->data[pin_at(port) + 1], value = cpu->data[pin_at(port) + 2];
    uint8_t in = (uint8_t)((driven[port] & outside[port]) | (~driven[port] & value));
    uint8_t level = (uint8_t)((ddr & value) | (~ddr & in));
    if (port == PORT_C) { /* the bus has pull-ups and others on it */
        uint8_t lines = twi_lines(), both = 1 << SDA_BIT | 1 << SCL_BIT;
        uint8_t bus = (uint8_t)((lines & SDA ? 1 << SDA_BIT : 0) | (lines & SCL ? 1 << SCL_BIT : 0));
        level = (uint8_t)((level & ~both) | (bus & (~ddr | value)));
    }
    return level;
}

void pins_look(void)
{
    for (uint8_t port = 0; port < N_PORTS; port++) {
        uint8_t level = pins_level(port);
        if ((level ^ last[port]) & cpu->data[PCMSK0_ + port]) {
            cpu->data[PCIFR_] |= (uint8_t)(1 << port);
            line_set(&change_lines[port], 1);
        }
        last[port] = level;
    }
}

/* What the port drives has changed: tell the bench once, pull the bus where the TWI does not. */
static void moved(unsigned port)
{
    uint8_t now[2] = {cpu->data[pin_at(port) + 1], cpu->data[pin_at(port) + 2]};
    if (memcmp(now, told[port], 2) != 0) {
        memcpy(told[port], now, 2);
        uint8_t octets[3] = {(uint8_t)port, now[0], now[1]};
        wires_tell(WIRE_PORT, octets, 3);
    }
    if (port == PORT_C && !(cpu->data[TWCR_] & TWEN)) {
        uint8_t low = (uint8_t)(now[0] & ~now[1]);
        twi_pins_moved((uint8_t)((low >> SDA_BIT & 1 ? SDA : 0) | (low >> SCL_BIT & 1 ? SCL : 0)));
    }
    pins_look();
}

static uint8_t read_pin(avr_t *avr, avr_io_addr_t at, void *param)
{
    (void)avr, (void)param;
    return pins_level((uint8_t)((at - PINB_) / 3));
}

static void write_pin(avr_t *avr, avr_io_addr_t at, uint8_t value, void *param)
{
    (void)param;
    avr->data[at + 2] ^= value; /* 13.2.2 */
    moved((at - PINB_) / 3u);
}

static void write_port(avr_t *avr, avr_io_addr_t at, uint8_t value, void *param)
{
    (void)param;
    avr->data[at] = value;
    moved((at - PINB_) / 3u);
}

static void write_flags(avr_t *avr, avr_io_addr_t at, uint8_t value, void *param)
{
    (void)param;
    avr->data[at] &= (uint8_t)~value;
    for (unsigned port = 0; port < N_PORTS; port++) {
        line_set(&change_lines[port], avr->data[at] >> port & 1);
    }
}

static void write_enable(avr_t *avr, avr_io_addr_t at, uint8_t value, void *param)
{
    (void)param;
    avr->data[at] = value;
    for (unsigned port = 0; port < N_PORTS; port++) {
        line_set(&change_lines[port], avr->data[PCIFR_] >> port & 1);
    }
}

void pins_select(uint8_t level)
{
    enum { SS = 1 << 2 };
    pins_drive(0, driven[0] | SS, (uint8_t)((outside[0] & ~SS) | (level ? SS : 0)));
}

void pins_drive(uint8_t port, uint8_t mask, uint8_t value)
{
    if (port < N_PORTS) {
        driven[port] = mask;
        outside[port] = value;
        pins_look();
    }
}

/* Executing the interrupt clears its flag (13.2.5). */
static void served(struct avr_irq_t *irq, uint32_t value, void *param)
{
    (void)irq;
    unsigned port = (unsigned)((struct line *)param - change_lines);
    if (value) {
        cpu->data[PCIFR_] &= (uint8_t)~(1 << port);
        change_lines[port].level = 0;
    }
}

void pins_init(void)
{
    for (uint8_t port = 0; port < N_PORTS; port++) {
        line_init(&change_lines[port], (uint8_t)(VECTOR_PCINT0 + port), PCICR_, port);
        avr_irq_register_notify(change_lines[port].vector.irq + AVR_INT_IRQ_RUNNING, served, &change_lines[port]);
        own_register((uint16_t)pin_at(port), read_pin, write_pin);
        own_register((uint16_t)(pin_at(port) + 1), NULL, write_port);
        own_register((uint16_t)(pin_at(port) + 2), NULL, write_port);
    }
    own_register(PCIFR_, NULL, write_flags);
    own_register(PCICR_, NULL, write_enable);
}

void pins_reset(void)
{
    for (unsigned port = 0; port < N_PORTS; port++) {
        change_lines[port].level = 0;
        last[port] = pins_level((uint8_t)port);
        moved(port);
    }
}
