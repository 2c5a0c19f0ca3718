/* A HAL of buffers: the link's octets come from and go to the caller's arrays, time is an argument,
 * and what the core does on its buses is written down. The core's own link.c is part of this unit,
 * so that a reset can clear its memory as a real one does. */
#include "link.c"

#include <stdio.h>
#include <string.h>

enum { IDS = 1 << 20, LOG = 1 << 16, EDGES = 256, REGISTERS = 256 };

static const uint8_t *host_in;
static size_t host_in_left, host_out_n, host_out_room;
static uint8_t *host_out;
static int host_lost;
static uint32_t host_us, host_boot, host_edges;
static uint8_t host_cause;

uint32_t host_baud = 115200;
unsigned host_first_baud = 115200;
int host_reset_kind = -1;
uint8_t host_executed[IDS]; /* how often each request was done */
uint32_t host_last_id, host_disorder, host_tx_lost;
char host_log[LOG];
static size_t log_n;

static void note(const char *word, unsigned value)
{
    if (log_n < LOG - 16)
        log_n += (size_t)snprintf(host_log + log_n, 16, word, value);
}

/* --- what a test calls ------------------------------------------------------------------------ */

void host_clear(void)
{
    memset(host_executed, 0, sizeof host_executed);
    host_last_id = host_disorder = host_tx_lost = 0;
    host_log[0] = 0;
    log_n = 0;
}

/* Start anew, as after a reset: nothing of the core's memory survives. Returns octets sent. */
size_t host_start(uint32_t boot_id, uint8_t cause, uint32_t now_us, uint8_t *out, size_t room)
{
    memset(&link, 0, sizeof link);
    memset(slots, 0, sizeof slots);
    memset(hw_counters, 0, sizeof hw_counters);
    host_boot = boot_id, host_cause = cause, host_us = now_us;
    host_baud = HW_BAUD, host_reset_kind = -1;
    host_out = out, host_out_n = 0, host_out_room = room;
    hw_boot();
    return host_out_n;
}

/* Give octets to the board and let it do what they ask. Returns octets sent. */
size_t host_run(const uint8_t *in, size_t n, uint32_t now_us, uint8_t *out, size_t room)
{
    host_in = in, host_in_left = n, host_us = now_us;
    host_out = out, host_out_n = 0, host_out_room = room;
    hw_poll();
    return host_out_n;
}

void host_lose(void) { host_lost = 1; }
void host_edge(uint32_t count) { host_edges += count; }
void host_say(const char *text, uint8_t *out, size_t room, size_t *n)
{
    host_out = out, host_out_n = 0, host_out_room = room;
    hw_log(text);
    *n = host_out_n;
}

/* --- link ------------------------------------------------------------------------------------- */

void hal_init(void) {}
void hal_flush(void) {}
void hal_drain(void) {}
void hal_idle(void) {}
uint32_t hal_micros(void) { return host_us; }
uint32_t hal_boot_id(void) { return host_boot; }
uint8_t hal_reset_cause(void) { return host_cause; }
void hal_identity(uint8_t uid[8]) { memcpy(uid, "host-uid", 8); }
void hal_reset(uint8_t kind) { host_reset_kind = kind; }
uint8_t hal_can_baud(uint32_t baud) { return baud >= 9600 && baud <= 1000000; }

int hal_rx(void)
{
    if (host_lost) {
        host_lost = 0;
        return HAL_RX_LOST;
    }
    if (!host_in_left)
        return HAL_RX_EMPTY;
    host_in_left--;
    return *host_in++;
}

void hal_tx(uint8_t octet)
{
    if (host_out_n < host_out_room)
        host_out[host_out_n++] = octet;
    else
        host_tx_lost++;
}

uint8_t hal_set_baud(uint32_t baud)
{
    host_baud = baud;
    return 1;
}

uint8_t hal_describe(uint32_t offset, uint8_t *octets, uint8_t n)
{
    enum { SIZE = 1000 };
    uint32_t left = offset < SIZE ? SIZE - offset : 0;
    if (n > left)
        n = (uint8_t)left;
    for (uint8_t i = 0; i < n; i++)
        octets[i] = (uint8_t)('a' + (offset + i) % 26);
    return n;
}

/* --- UART: requests with a number, which are counted ------------------------------------------ */

uint32_t hal_uart_config(uint8_t port, uint32_t baud, uint8_t bits, uint8_t parity, uint8_t stop)
{
    (void)port, (void)bits, (void)parity, (void)stop;
    return baud;
}

uint8_t hal_uart_write(uint8_t port, const uint8_t *octets, uint8_t n)
{
    (void)port;
    uint32_t id = n >= 4 ? hw_get32(octets) : 0;
    if (id < IDS && host_executed[id] < 255)
        host_executed[id]++;
    host_disorder += id <= host_last_id;
    host_last_id = id;
    return n;
}

uint8_t hal_uart_take(uint8_t port, uint8_t *octets, uint8_t room, uint32_t *t_us, uint8_t *errors)
{
    (void)port, (void)octets, (void)room, (void)t_us, (void)errors;
    return 0;
}

/* --- GPIO: edges that a test asks for --------------------------------------------------------- */

uint8_t hal_gpio_config(uint8_t pin, uint8_t mode, uint8_t edges)
{
    (void)pin, (void)mode, (void)edges;
    return HW_OK;
}
uint8_t hal_gpio_write(uint8_t pin, uint8_t level)
{
    (void)pin, (void)level;
    return HW_OK;
}
uint8_t hal_gpio_read(uint8_t pin, uint8_t *level)
{
    *level = pin & 1;
    return HW_OK;
}
uint8_t hal_gpio_edge(uint8_t *pin, uint8_t *level, uint32_t *t_us)
{
    if (!host_edges)
        return 0;
    *pin = 7, *level = host_edges-- & 1, *t_us = host_us;
    return 1;
}

/* --- I2C: a memory of 256 octets at 0x50 with a pointer, full after 200 octets at 0x51 -------- */

static struct {
    uint8_t address, reading, pointer;
    uint16_t nth;
    uint8_t memory[REGISTERS];
} i2c;

uint32_t hal_i2c_config(uint8_t bus, uint32_t hz)
{
    (void)bus;
    return hz;
}
uint8_t hal_i2c_recover(uint8_t bus)
{
    (void)bus;
    note("R ", 0);
    return HW_OK;
}
uint8_t hal_i2c_start(uint8_t bus, uint8_t address_octet)
{
    (void)bus;
    note("S%02X ", address_octet);
    i2c.address = address_octet >> 1, i2c.reading = address_octet & 1, i2c.nth = 0;
    return i2c.address == 0x50 || i2c.address == 0x51 ? HW_OK : HW_NAK_ADDRESS;
}
uint8_t hal_i2c_write(uint8_t bus, uint8_t octet)
{
    (void)bus;
    note("%02x ", octet);
    if (i2c.address == 0x51 && i2c.nth == 200)
        return HW_NAK_DATA;
    if (i2c.nth++)
        i2c.memory[i2c.pointer++] = octet;
    else
        i2c.pointer = octet;
    return HW_OK;
}
uint8_t hal_i2c_read(uint8_t bus, uint8_t ack, uint8_t *octet)
{
    (void)bus;
    *octet = i2c.memory[i2c.pointer++];
    note(ack ? "%02xA " : "%02xN ", *octet);
    return HW_OK;
}
uint8_t hal_i2c_stop(uint8_t bus)
{
    (void)bus;
    note("P ", 0);
    return HW_OK;
}

/* --- SPI: what comes back is the complement --------------------------------------------------- */

uint32_t hal_spi_config(uint8_t bus, uint8_t cs, uint8_t mode, uint32_t hz)
{
    (void)bus, (void)cs, (void)mode;
    return hz;
}
uint8_t hal_spi_select(uint8_t bus, uint8_t cs, uint8_t active)
{
    (void)bus, (void)cs;
    note(active ? "[ " : "] ", 0);
    return HW_OK;
}
uint8_t hal_spi_exchange(uint8_t bus, uint8_t octet)
{
    (void)bus;
    note("%02x ", octet);
    return (uint8_t)~octet;
}
