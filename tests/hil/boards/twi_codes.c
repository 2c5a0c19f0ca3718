/* Drives the two-wire interface by its registers and tells the status code after each step, on the
 * UART at 1 Mbaud. Commands are octets: S START, W/R address octet follows, D data octet follows,
 * A take an octet and acknowledge, N take one and do not, P STOP, T listen as target at the address
 * that follows, a/n go on as target with the next octet acknowledged or not, t go on with TWDR set to
 * the octet that follows, u as t with the last octet, E go on and tell what was not awaited, w write TWDR
 * at the wrong time and tell TWCR, C tell TWCR, Q tell the cycles that the last step took, O wait 500 us without hearing, then tell UCSR0A and three octets. */
#include <avr/io.h>

static uint16_t taken; /* cycles of the last step */

static void tell(uint8_t octet)
{
    while (!(UCSR0A & _BV(UDRE0)))
        ;
    UDR0 = octet;
}

static uint8_t hear(void)
{
    while (!(UCSR0A & _BV(RXC0)))
        ;
    return UDR0;
}

static void go(uint8_t bits)
{
    TWCR = _BV(TWINT) | _BV(TWEN) | bits;
    TCNT1 = 0;
    while (!(TWCR & _BV(TWINT)))
        if (UCSR0A & _BV(RXC0)) /* the bench goes on: no status came */
            break;
    taken = TCNT1;
    tell(TWSR & 0xF8);
}

static void listen(void)
{
    while (!(TWCR & _BV(TWINT)))
        ;
    tell(TWSR & 0xF8);
}

static void as_target(uint8_t bits)
{
    TWCR = _BV(TWINT) | _BV(TWEN) | bits;
    listen();
}

static void overrun(void)
{
    for (volatile uint16_t i = 0; i < 800; i++)
        ;
    tell(UCSR0A & (_BV(DOR0) | _BV(RXC0)));
    for (uint8_t i = 0; i < 3; i++)
        tell(hear());
    tell(UCSR0A & (_BV(DOR0) | _BV(RXC0)));
}

int main(void)
{
    UCSR0A = _BV(U2X0);
    UBRR0 = 1;
    UCSR0B = _BV(RXEN0) | _BV(TXEN0);
    TWBR = 72; /* 100 kHz */
    TCCR1B = _BV(CS10);
    for (;;) {
        switch (hear()) {
        case 'S': go(_BV(TWSTA)); break;
        case 'W': case 'R': case 'D': TWDR = hear(); go(0); break;
        case 'A': go(_BV(TWEA)); tell(TWDR); break;
        case 'N': go(0); tell(TWDR); break;
        case 'P': TWCR = _BV(TWINT) | _BV(TWEN) | _BV(TWSTO); while (TWCR & _BV(TWSTO)); tell(TWSR & 0xF8); break;
        case 'T': TWAR = hear(); TWCR = _BV(TWEN) | _BV(TWEA); tell(TWSR & 0xF8); listen(); break;
        case 'a': tell(TWDR); as_target(_BV(TWEA)); break;
        case 'n': tell(TWDR); as_target(0); break;
        case 't': TWDR = hear(); as_target(_BV(TWEA)); break;
        case 'u': TWDR = hear(); as_target(0); break;
        case 'E': TWCR = _BV(TWINT) | _BV(TWEN) | _BV(TWEA); tell(TWSR & 0xF8); break;
        case 'w': TWDR = 0; tell(TWCR); break;
        case 'C': tell(TWCR); break;
        case 'Q': tell((uint8_t)taken); tell((uint8_t)(taken >> 8)); break;
        case 'O': overrun(); break;
        }
    }
}
