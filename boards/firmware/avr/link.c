/* The link on USART0, 8N1, always at double speed (section 20.3).
 *
 * Rates are 2 MHz / n. Errors: 115200 +2.1 % (n = 17), 250000, 500000 and 1000000 none; a receiver
 * stands 4 % with eight bits at double speed (table 20-3). */
#include "avr.h"

enum { RING = 128 };

static volatile uint8_t ring[RING], head, tail;
static volatile uint8_t lost, lost_at; /* octets are missing where head was then */

ISR(USART_RX_vect)
{
    uint8_t errors = UCSR0A & (_BV(FE0) | _BV(DOR0)), octet = UDR0;
    uint8_t next = (head + 1) & (RING - 1);
    if ((errors || next == tail) && !lost) {
        lost = 1;
        lost_at = head;
    }
    if (next == tail || (errors & _BV(FE0)))
        return;
    ring[head] = octet;
    head = next;
}

uint8_t link_waits(void) { return head != tail || lost; }

int hal_rx(void)
{
    uint8_t at = tail;
    if (lost && at == lost_at) {
        lost = 0;
        return HAL_RX_LOST;
    }
    if (at == head)
        return HAL_RX_EMPTY;
    uint8_t octet = ring[at];
    tail = (at + 1) & (RING - 1);
    return octet;
}

void hal_tx(uint8_t octet)
{
    loop_until_bit_is_set(UCSR0A, UDRE0);
    uint8_t state = SREG;
    cli();
    UCSR0A = _BV(U2X0) | _BV(TXC0); /* clears what the octet before has set */
    UDR0 = octet;
    SREG = state;
}

void hal_flush(void) {}

/* Two octets may be on their way: the one in the buffer and the one in the shift register. */
void hal_drain(void) { loop_until_bit_is_set(UCSR0A, TXC0); }

static uint16_t divisor(uint32_t baud) { return baud ? (uint16_t)((UNO_HZ / 8 + baud / 2) / baud) : 0; }

uint8_t hal_can_baud(uint32_t baud)
{
    uint16_t n = divisor(baud);
    if (baud < 2400 || !n)
        return 0;
    uint32_t is = UNO_HZ / 8 / n;
    uint32_t off = is > baud ? is - baud : baud - is;
    return off * 40 <= baud; /* 2.5 % */
}

uint8_t hal_set_baud(uint32_t baud)
{
    if (!hal_can_baud(baud))
        return 0;
    UBRR0 = divisor(baud) - 1;
    return 1;
}

void link_init(void)
{
    UBRR0 = LINE_INIT;
    UCSR0A = _BV(U2X0);
    UCSR0C = _BV(UCSZ01) | _BV(UCSZ00);
    UCSR0B = _BV(RXEN0) | _BV(TXEN0) | _BV(RXCIE0);
}
