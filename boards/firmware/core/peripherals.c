/* SPI, UART, GPIO and CAN: payloads taken apart for the HAL, and what comes in made into events. */
#include "hal.h"
#include "hilwire.h"

/* Events of one source between two looks at the link, which a babbling bus must not silence. */
enum { AT_ONCE = 4 };

/* A reply of a status and a number; 0 is what the HAL gives where it cannot. */
#if HW_CAPABILITIES & (HW_CAP_SPI | HW_CAP_UART)
static uint8_t rate(uint8_t *reply, uint32_t value)
{
    if (!value)
        return hw_fail(reply, HW_INVALID);
    hw_put32(reply + 1, value);
    return 5;
}
#endif

#if HW_CAPABILITIES & HW_CAP_SPI
#ifndef HW_SPI_WHOLE
static struct {
    uint8_t selected, bus, cs;
} held;
#endif

static uint8_t spi_transfer(uint8_t *payload, uint8_t n, uint8_t *reply)
{
    uint8_t *out = hw_put32(reply + 1, hal_micros());
    uint8_t bus = payload[0], cs = payload[1], hold = payload[2] & HW_HOLD;
#ifdef HW_SPI_WHOLE
    for (uint8_t i = 0; i < n; i++)
        out[i] = payload[3 + i];
    reply[0] = hal_spi_transfer(bus, cs, hold, out, n);
#else
    reply[0] = hal_spi_select(bus, cs, 1);
    if (reply[0])
        return 1;
    for (uint8_t i = 0; i < n; i++)
        out[i] = hal_spi_exchange(bus, payload[3 + i]);
    if (!hold)
        reply[0] = hal_spi_select(bus, cs, 0);
    held.selected = hold;
    held.bus = bus;
    held.cs = cs;
#endif
    return reply[0] ? 1 : 5 + n;
}

void hw_spi_let_go(void)
{
#ifndef HW_SPI_WHOLE
    if (held.selected)
        hal_spi_select(held.bus, held.cs, 0);
    held.selected = 0;
#endif
}

uint8_t hw_spi_execute(uint8_t type, uint8_t *payload, uint8_t n, uint8_t *reply)
{
    if (type > HW_SPI_XFER)
        return hw_fail(reply, HW_UNSUPPORTED);
    if (n < (type == HW_SPI_CONFIG ? 7 : 3) || (type == HW_SPI_XFER && n - 3 > HW_ROOM - 5))
        return hw_fail(reply, HW_INVALID);
    if (type == HW_SPI_XFER)
        return spi_transfer(payload, n - 3, reply);
    return rate(reply, hal_spi_config(payload[0], payload[1], payload[2], hw_get32(payload + 3)));
}
#endif

#if HW_CAPABILITIES & HW_CAP_UART
uint8_t hw_uart_execute(uint8_t type, uint8_t *payload, uint8_t n, uint8_t *reply)
{
    if (type > HW_UART_WRITE)
        return hw_fail(reply, HW_UNSUPPORTED);
    if (n < (type == HW_UART_CONFIG ? 8 : 1))
        return hw_fail(reply, HW_INVALID);
    if (payload[0] >= HW_UART_PORTS)
        return hw_fail(reply, HW_ABSENT);
    if (type == HW_UART_WRITE) {
        reply[1] = hal_uart_write(payload[0], payload + 1, n - 1);
        return 2;
    }
    return rate(reply, hal_uart_config(payload[0], hw_get32(payload + 1), payload[5], payload[6],
                                       payload[7]));
}

void hw_uart_service(void)
{
    enum { HEAD = 6, ROOM = HW_EVENT_SIZE - HW_HEAD - HW_CHECK - HEAD };
    for (uint8_t port = 0; port < HW_UART_PORTS; port++) {
        uint8_t *e = hw_event(), errors = 0;
        uint32_t t_us = 0;
        uint8_t n = hal_uart_take(port, e + HEAD, ROOM, &t_us, &errors);
        if (!n && !errors)
            continue;
        e[0] = port;
        hw_put32(e + 1, t_us)[0] = errors;
        hw_event_send(HW_UART_RX, HEAD + n);
    }
}
#endif

#if HW_CAPABILITIES & HW_CAP_GPIO
uint8_t hw_gpio_execute(uint8_t type, uint8_t *payload, uint8_t n, uint8_t *reply)
{
    uint8_t status;
    if (type > HW_GPIO_READ)
        return hw_fail(reply, HW_UNSUPPORTED);
    if (n < (type == HW_GPIO_CONFIG ? 3 : type == HW_GPIO_WRITE ? 2 : 1))
        return hw_fail(reply, HW_INVALID);
    if (type == HW_GPIO_WRITE)
        return hw_fail(reply, hal_gpio_write(payload[0], payload[1]));
    status = type == HW_GPIO_CONFIG ? hal_gpio_config(payload[0], payload[1], payload[2]) : HW_OK;
    if (!status)
        status = hal_gpio_read(payload[0], reply + 1);
    reply[0] = status;
    return status ? 1 : 2;
}

void hw_gpio_service(void)
{
    uint8_t *e = hw_event();
    uint32_t t_us;
    for (uint8_t i = 0; i < AT_ONCE && hal_gpio_edge(e, e + 1, &t_us); i++) {
        hw_put32(e + 2, t_us);
        hw_event_send(HW_GPIO_EDGE, 6);
    }
}
#endif

#if HW_CAPABILITIES & HW_CAP_CAN
uint8_t hw_can_execute(uint8_t type, uint8_t *payload, uint8_t n, uint8_t *reply)
{
    if (type > HW_CAN_SEND)
        return hw_fail(reply, HW_UNSUPPORTED);
    if (n < (type == HW_CAN_CONFIG ? 10 : 6) || (type == HW_CAN_SEND && n > 6 + 64))
        return hw_fail(reply, HW_INVALID);
    if (payload[0] >= HW_CAN_BUSES)
        return hw_fail(reply, HW_ABSENT);
    if (type == HW_CAN_SEND)
        return hw_fail(reply, hal_can_send(payload[0], hw_get32(payload + 1), payload[5],
                                           payload + 6, n - 6));
    return hw_fail(reply, hal_can_config(payload[0], hw_get32(payload + 1),
                                         hw_get32(payload + 5), payload[9]));
}

void hw_can_service(void)
{
    enum { HEAD = 10 };
    for (uint8_t bus = 0; bus < HW_CAN_BUSES; bus++) {
        uint8_t *e = hw_event();
        uint32_t t_us, id;
        for (uint8_t i = 0; i < AT_ONCE; i++) {
            int n = hal_can_take(bus, &t_us, &id, e + HEAD - 1, e + HEAD);
            if (n < 0)
                break;
            e[0] = bus;
            hw_put32(hw_put32(e + 1, t_us), id);
            hw_event_send(HW_CAN_RX, (uint8_t)(HEAD + n));
        }
        e[0] = bus;
        if (hal_can_changed(bus, e + 1))
            hw_event_send(HW_CAN_STATE, 4);
    }
}
#endif
