/* USART0 of the ATmega328P, asynchronous (data sheet section 20): octets cross the line at the rate and
 * in the frame that the registers say, the receiver holds two and shifts in a third. GPL note: runner.h. */
#include "runner.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { RXC = 0x80, TXC = 0x40, UDRE = 0x20, FE = 0x10, DOR = 0x08, UPE = 0x04, U2X = 0x02, MPCM = 0x01 };
enum { RXEN = 0x10, TXEN = 0x08 };
enum { IN_NBYTES = 4096, OUT_NBYTES = 65536 };

static int line_fd = -1;
static struct line rx_line, tx_line, empty_line;
/* From the descriptor, not yet on the line; the other way, off the line and not yet taken. */
static uint8_t in[IN_NBYTES], out[OUT_NBYTES];
static unsigned in_at, in_end, out_at, out_end;
static uint8_t fifo[2], fifo_n; /* receive buffer */
static int shifted = -1;        /* a whole octet that waits in the receive shift register */
static int arriving;            /* an octet is on the line */
static uint8_t status, buffered, sending;
static int has_buffered;

/* Cycles of a frame: start, data, parity, stop (section 20.3; 9 data bits count as 8). */
static avr_cycle_count_t frame_cycles(void)
{
    const uint8_t *r = cpu->data;
    unsigned divisor = (r[UBRRL_] | (r[UBRRH_] & 15) << 8) + 1;
    unsigned bits = 1 + (5 + (r[UCSRC_] >> 1 & 3)) + (r[UCSRC_] >> 5 & 1) + 1 + (r[UCSRC_] >> 3 & 1);
    return (avr_cycle_count_t)bits * divisor * (status & U2X ? 8 : 16);
}

/* The bench is told the rate, so that the cable knows whether both ends have the same. */
static void tell_rate(void)
{
    unsigned divisor = (cpu->data[UBRRL_] | (cpu->data[UBRRH_] & 15) << 8) + 1;
    uint32_t baud = cpu->frequency / ((status & U2X ? 8 : 16) * divisor);
    uint8_t octets[4];
    put32(octets, baud);
    wires_tell(WIRE_RATE, octets, 4);
}

static void lines_update(void)
{
    line_set(&rx_line, !!(status & RXC));
    line_set(&tx_line, !!(status & TXC));
    line_set(&empty_line, !!(status & UDRE));
}

static int off(uint8_t bit)
{
    return !(cpu->data[UCSRB_] & bit);
}

/* --- receiver --------------------------------------------------------------------------------------- */

/* A start bit. With the buffer and the shift register full, what is in the latter is lost (20.7.3). */
static void start_bit(void)
{
    arriving = 1;
    if (shifted >= 0) {
        status |= DOR;
        counted[N_OVERRUN]++;
        shifted = -1;
    }
}

static void settle(void)
{
    if (shifted >= 0 && fifo_n < 2) {
        fifo[fifo_n++] = (uint8_t)shifted;
        shifted = -1;
    }
    status = (uint8_t)(fifo_n ? status | RXC : status & ~RXC);
    lines_update();
}

/* Take what has come on the descriptor, once what came before is on the line. */
static void take(void)
{
    if (line_fd < 0 || in_at < in_end) {
        return;
    }
    ssize_t got = read(line_fd, in, sizeof in);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        _exit(0); /* nobody holds the other end any more */
    }
    if (got < 0) {
        return;
    }
    in_at = 0;
    in_end = (unsigned)got;
}

static avr_cycle_count_t arrived(avr_t *avr, avr_cycle_count_t when, void *param)
{
    (void)avr, (void)param;
    arriving = 0;
    uint8_t octet = in[in_at++];
    if (off(RXEN)) {
        counted[N_UNHEARD]++;
    } else {
        counted[N_RX]++;
        shifted = octet;
        settle();
    }
    take();
    if (in_at == in_end) {
        return 0;
    }
    start_bit();
    return when + frame_cycles();
}

void usart_look(void)
{
    take();
    if (in_at < in_end && !arriving) {
        start_bit();
        avr_cycle_timer_register(cpu, frame_cycles(), arrived, NULL);
    }
}

/* --- transmitter ------------------------------------------------------------------------------------ */

/* Octets that nobody takes wait; once they are many the board waits too, and none is lost. */
static void deliver(void)
{
    while (out_at < out_end) {
        ssize_t put = write(line_fd, out + out_at, out_end - out_at);
        if (put > 0) {
            out_at += (unsigned)put;
        } else if (errno == EPIPE || errno == ECONNRESET) {
            _exit(0);
        } else if (out_end < sizeof out) {
            return;
        } else {
            struct pollfd wait = {line_fd, POLLOUT, 0};
            poll(&wait, 1, -1);
        }
    }
    out_at = out_end = 0;
}

static avr_cycle_count_t sent(avr_t *avr, avr_cycle_count_t when, void *param)
{
    (void)avr, (void)param;
    counted[N_TX]++;
    if (line_fd >= 0) {
        out[out_end++] = sending;
        deliver();
    }
    if (!has_buffered) {
        status |= TXC;
        lines_update();
        return 0;
    }
    sending = buffered;
    has_buffered = 0;
    status |= UDRE;
    lines_update();
    return when + frame_cycles();
}

int usart_busy(void)
{
    if (out_at < out_end) {
        deliver();
    }
    return arriving || fifo_n || in_at < in_end || avr_cycle_timer_status(cpu, sent, NULL) != 0;
}

/* --- registers -------------------------------------------------------------------------------------- */

static void write_rate(avr_t *avr, avr_io_addr_t at, uint8_t value, void *param)
{
    (void)param;
    avr->data[at] = at == UBRRH_ ? value & 15 : value;
    tell_rate();
}

static uint8_t read_status(avr_t *avr, avr_io_addr_t at, void *param)
{
    (void)avr, (void)at, (void)param;
    return status;
}

static void write_status(avr_t *avr, avr_io_addr_t at, uint8_t value, void *param)
{
    (void)avr, (void)at, (void)param;
    if (value & TXC) {
        status &= (uint8_t)~TXC;
    }
    uint8_t was = status;
    status = (uint8_t)((status & ~(U2X | MPCM)) | (value & (U2X | MPCM)));
    lines_update();
    if ((was ^ status) & U2X) {
        tell_rate();
    }
}

static void write_control(avr_t *avr, avr_io_addr_t at, uint8_t value, void *param)
{
    (void)param;
    avr->data[at] = value;
    if (!(value & RXEN)) { /* 20.7.6: the buffer is flushed */
        fifo_n = 0;
        shifted = -1;
        status &= (uint8_t)~(RXC | DOR);
    }
    lines_update();
}

static uint8_t read_data(avr_t *avr, avr_io_addr_t at, void *param)
{
    (void)avr, (void)at, (void)param;
    uint8_t octet = fifo[0];
    if (fifo_n) {
        fifo[0] = fifo[1];
        fifo_n--;
    }
    status &= (uint8_t)~DOR;
    settle();
    return octet;
}

static void write_data(avr_t *avr, avr_io_addr_t at, uint8_t value, void *param)
{
    (void)at, (void)param;
    if (off(TXEN) || !(status & UDRE)) {
        return; /* 20.6.2: ignored */
    }
    if (avr_cycle_timer_status(avr, sent, NULL)) {
        buffered = value;
        has_buffered = 1;
        status &= (uint8_t)~UDRE;
    } else {
        sending = value;
        avr_cycle_timer_register(avr, frame_cycles(), sent, NULL);
    }
    lines_update();
}

void usart_init(int fd)
{
    line_fd = fd;
    line_init(&rx_line, VECTOR_RX, UCSRB_, 7);
    line_init(&tx_line, VECTOR_TX, UCSRB_, 6);
    tx_line.vector.raise_sticky = 0; /* executing the interrupt clears TXC */
    line_init(&empty_line, VECTOR_UDRE, UCSRB_, 5);
    own_register(UCSRA_, read_status, write_status);
    own_register(UCSRB_, NULL, write_control);
    own_register(UCSRC_, NULL, NULL);
    own_register(UBRRL_, NULL, write_rate);
    own_register(UBRRH_, NULL, write_rate);
    own_register(UDR_, read_data, write_data);
}

void usart_reset(void)
{
    fifo_n = 0;
    shifted = -1;
    has_buffered = 0;
    status = UDRE;
    cpu->data[UCSRB_] = 0;
    cpu->data[UCSRC_] = 0x06;
    lines_update();
    if (arriving) { /* the line goes on: what was on it is not heard, the receiver is off */
        avr_cycle_timer_register(cpu, frame_cycles(), arrived, NULL);
    }
}
