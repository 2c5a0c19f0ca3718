/* The link of HILwire 1: frames out of octets, the session, requests at most once, events.
 *
 * A line is 0x00 COBS(body fold crc) 0x00 and a frame never longer than one COBS block, so decoding
 * needs no more than "octets left until the next zero". What comes before the first delimiter is
 * dropped: the tail of a frame, the chatter of a boot loader.
 *
 * The reply to a request stays in its slot until the window has gone past it; a repeated request
 * gets it again and is not executed. HELLO is answered out of the receive buffer, because a repeated
 * HELLO must not cost a kept reply. */
#include "hal.h"
#include "hilwire.h"

/* Of a frame's type: a reply or an event, which a line that echoes brings back. Not answered, or the
 * two would go on for ever. */
enum { NO_REQUEST = 0xC0, FALLBACK_US = 500000 };

uint16_t hw_counters[HW_COUNTERS];
uint32_t hw_received_us;

static struct {
    uint8_t n;      /* octets in frame */
    uint8_t code;   /* octets left of the piece, 0: a code comes next */
    uint8_t lost;   /* dropping until the next delimiter */
    uint8_t pieces; /* 1: a piece of this frame has begun */
    uint8_t open;   /* there is a session */
    uint8_t epoch;
    uint8_t expected;
    uint8_t event_seq;
    uint16_t nonce;
    uint8_t after;      /* request to be finished when its reply is out, or 0 */
    uint32_t argument;  /* of it */
    uint8_t trial;      /* the rate is new and no good frame has come yet */
    uint32_t trial_us;
    uint32_t baud;      /* the rate to fall back to */
} link;
static uint8_t frame[HW_MAX_FRAME], event[HW_EVENT_SIZE];
static struct {
    uint8_t n;
    uint8_t octets[HW_MAX_FRAME];
} slots[HW_WINDOW];

void hw_count(uint8_t counter) { hw_counters[counter]++; }

/* Fold (the second Fletcher sum modulo 256) and CRC-16 (0x1021, preset to ones) over n octets. */
static void check_octets(const uint8_t *octets, uint8_t n, uint8_t out[HW_CHECK])
{
    uint16_t crc = 0xFFFF;
    uint8_t a = 1, b = 0, octet;
    do {
        if (n) {
            octet = *octets++;
            a += octet;
            b += a;
        } else {
            octet = b;
        }
        octet ^= crc >> 8;
        octet ^= octet >> 4;
        crc = (uint16_t)(crc << 8 ^ (uint16_t)octet << 12 ^ (uint16_t)octet << 5 ^ octet);
    } while (n--);
    out[0] = b;
    out[1] = (uint8_t)crc;
    out[2] = (uint8_t)(crc >> 8);
}

static void put_frame(const uint8_t *octets, uint8_t n)
{
    hal_tx(0);
    for (const uint8_t *end = octets + n;; octets++) {
        const uint8_t *piece = octets;
        while (octets < end && *octets)
            octets++;
        hal_tx((uint8_t)(octets - piece + 1));
        while (piece < octets)
            hal_tx(*piece++);
        if (octets == end)
            break;
    }
    hal_tx(0);
    hal_flush();
}

/* Send a body of n octets behind its head; there is room for the check. */
static void send(uint8_t *body, uint8_t type, uint8_t seq, uint8_t n)
{
    body[0] = (uint8_t)(HW_MAJOR << 4 | link.epoch);
    body[1] = type;
    body[2] = seq;
    n += HW_HEAD;
    check_octets(body, n, body + n);
    put_frame(body, n + HW_CHECK);
}

uint8_t *hw_event(void) { return event + HW_HEAD; }

void hw_event_send(uint8_t type, uint8_t n) { send(event, type, link.event_seq++, n); }

static void ask_again(uint8_t counter, uint8_t reason)
{
    hw_count(counter);
    if (!link.open)
        return;
    event[HW_HEAD] = reason;
    event[HW_HEAD + 1] = link.expected;
    hw_event_send(HW_RESEND, 2);
}

void hw_after_reply(uint8_t type, uint32_t argument)
{
    link.after = type;
    link.argument = argument;
}

static void finish(void)
{
#if HW_CAPABILITIES & (HW_CAP_RESET | HW_CAP_SET_BAUD)
    uint8_t type = link.after;
    if (!type)
        return;
    link.after = 0;
    hal_drain();
#if HW_CAPABILITIES & HW_CAP_RESET
    if (type == HW_RESET)
        hal_reset((uint8_t)link.argument);
#endif
#if HW_CAPABILITIES & HW_CAP_SET_BAUD
    if (type == HW_SET_BAUD) {
        hal_set_baud(link.argument);
        link.trial = 1;
        link.trial_us = hal_micros();
    }
#endif
#endif
}

/* A good frame at a new rate makes it the link's. */
static void keep_rate(void)
{
#if HW_CAPABILITIES & HW_CAP_SET_BAUD
    if (link.trial)
        link.baud = link.argument;
    link.trial = 0;
#endif
}

static void hello(uint8_t n)
{
    uint8_t seq = frame[2];
    uint8_t *payload = frame + HW_HEAD;
    uint16_t nonce = (uint16_t)(payload[2] | payload[3] << 8);
    if (n < 4) {
        payload[0] = HW_INVALID;
        send(frame, HW_HELLO | HW_REPLY, seq, 1);
        return;
    }
    if (!link.open || nonce != link.nonce) {
        link.open = 1;
        link.nonce = nonce;
        link.epoch = (link.epoch + 1) & 15;
        link.expected = (uint8_t)(seq + 1);
        for (uint8_t i = 0; i < HW_WINDOW; i++)
            slots[i].n = 0;
#if HW_CAPABILITIES & HW_CAP_I2C
        hw_i2c_let_go();
#endif
#if HW_CAPABILITIES & HW_CAP_SPI
        hw_spi_let_go();
#endif
    }
    payload[0] = HW_OK;
    send(frame, HW_HELLO | HW_REPLY, seq, 1 + hw_identity(payload + 1));
}

/* A request of this session, n octets of payload. */
static void request(uint8_t n)
{
    uint8_t seq = frame[2], i = seq % HW_WINDOW;
    uint8_t *octets = slots[i].octets;
    if (seq == link.expected) {
        link.expected++;
        n = hw_execute(frame[1], frame + HW_HEAD, n, octets + HW_HEAD);
        slots[i].n = n;
        send(octets, frame[1] | HW_REPLY, seq, n);
        finish();
    } else if ((uint8_t)(link.expected - 1 - seq) < HW_WINDOW && slots[i].n) {
        hw_count(HW_REPEATED);
        send(octets, octets[1], seq, slots[i].n);
    } else {
        ask_again(HW_OUT_OF_ORDER, HW_RESEND_ORDER);
    }
}

/* A delimiter has come behind link.n octets. */
static void take_frame(void)
{
    uint8_t check[HW_CHECK], n = link.n;
    const uint8_t *sent;
    hw_received_us = hal_micros();
    if (link.code) {
        ask_again(HW_BAD_COBS, HW_RESEND_BAD_CHECK);
        return;
    }
    if (n < HW_HEAD + HW_CHECK)
        goto bad;
    n -= HW_CHECK;
    sent = frame + n;
    check_octets(frame, n, check);
    if (sent[0] != check[0] || sent[1] != check[1] || sent[2] != check[2])
        goto bad;
    hw_count(HW_FRAMES);
    keep_rate();
    n -= HW_HEAD;
    if (frame[1] == HW_HELLO)
        hello(n);
    else if (!link.open)
        hw_count(HW_NO_SESSION);
    else if (frame[0] != (HW_MAJOR << 4 | link.epoch) || frame[1] & NO_REQUEST)
        hw_count(HW_WRONG_EPOCH);
    else
        request(n);
    return;
bad:
    ask_again(HW_BAD_CHECK, HW_RESEND_BAD_CHECK);
}

/* Begin a frame; lost: what comes before the next delimiter is the rest of another one. */
static void restart(uint8_t lost)
{
    link.n = link.code = link.pieces = 0;
    link.lost = lost;
}

static void take_octet(uint8_t octet)
{
    if (!octet) {
        if (!link.lost && (link.pieces | link.code))
            take_frame();
        restart(0);
        return;
    }
    if (link.lost)
        return;
    if (!link.code) {
        link.code = octet - 1;
        if (!link.pieces) { /* a zero stands between two pieces only */
            link.pieces = 1;
            return;
        }
        octet = 0;
    } else {
        link.code--;
    }
    if (link.n == HW_MAX_FRAME) {
        ask_again(HW_OVERLONG, HW_RESEND_BAD_CHECK);
        restart(1);
        return;
    }
    frame[link.n++] = octet;
}

static void fall_back(void)
{
#if HW_CAPABILITIES & HW_CAP_SET_BAUD
    if (link.trial && hal_micros() - link.trial_us > FALLBACK_US) {
        link.trial = 0;
        hal_set_baud(link.baud);
    }
#endif
}

void hw_log(const char *text)
{
    uint8_t n = 0;
    while (text[n] && n < HW_EVENT_SIZE - HW_HEAD - HW_CHECK) {
        event[HW_HEAD + n] = (uint8_t)text[n];
        n++;
    }
    hw_event_send(HW_LOG, n);
}

void hw_boot(void)
{
    for (uint8_t i = 0; i < sizeof link; i++)
        ((uint8_t *)&link)[i] = 0;
    restart(1);
    link.baud = HW_BAUD;
    link.epoch = hal_boot_id() & 15;
    send(frame, HW_BOOT, link.event_seq++, hw_identity(frame + HW_HEAD));
}

void hw_poll(void)
{
    int octet;
    while ((octet = hal_rx()) != HAL_RX_EMPTY) {
        if (octet >= 0) {
            take_octet((uint8_t)octet);
        } else {
            ask_again(HW_RX_OVERRUN, HW_RESEND_OVERRUN);
            restart(1);
        }
    }
    fall_back();
#if HW_CAPABILITIES & HW_CAP_UART
    hw_uart_service();
#endif
#if HW_CAPABILITIES & HW_CAP_GPIO
    hw_gpio_service();
#endif
#if HW_CAPABILITIES & HW_CAP_CAN
    hw_can_service();
#endif
#if HW_CAPABILITIES & HW_CAP_I2C_TARGET
    hw_target_service();
#endif
}
