/* The core of the boards' firmware: whatever comes on the line and on the target's bus, each request
 * of the session is executed at most once and answered once each time it is good, a repeated one
 * with the very same octets; what is wrong is answered by RESEND or not at all; all that the board
 * sends are whole frames.
 *
 * An input is a list of operations for a host that knows the protocol: good frames with any payload,
 * and all the ways to be wrong. A model of the session says what must come back. */
#include "fuzz.h"

#include "coding/crc_kernels.h"
#include "hal.h"
#include "hilwire.h"

enum { LINE = 600, SENT = 4096, BOOT_ID = 0x1234567A };

static uint8_t line[LINE], sent[SENT];
static size_t nline, line_at, nsent;
static uint32_t now_us, lost_at; /* lost_at - 1: octet of the line before which some are lost */
static fuzz_input choices; /* what the HAL answers comes from here */

/* --- the HAL ------------------------------------------------------------------------------- */

int hal_rx(void)
{
    if (lost_at && line_at + 1 == lost_at) {
        lost_at = 0;
        return HAL_RX_LOST;
    }
    return line_at < nline ? line[line_at++] : HAL_RX_EMPTY;
}
void hal_tx(uint8_t octet)
{
    FS_MUST(nsent < SENT);
    sent[nsent++] = octet;
}
void hal_flush(void) {}
void hal_drain(void) {}
uint32_t hal_micros(void) { return now_us += 7; }
void hal_identity(uint8_t uid[8]) { memset(uid, 0xA5, 8); }
uint32_t hal_boot_id(void) { return BOOT_ID; }
uint8_t hal_reset_cause(void) { return 1; }
uint8_t hal_describe(uint32_t offset, uint8_t *octets, uint8_t n)
{
    n = offset < 100 ? (n < 100 - offset ? n : (uint8_t)(100 - offset)) : 0;
    memset(octets, 'd', n);
    return n;
}
uint8_t hal_can_baud(uint32_t baud) { return baud & 1; }
uint8_t hal_set_baud(uint32_t baud) { return baud & 1; }
void hal_reset(uint8_t kind) { FS_MUST(kind < 2); }
uint8_t hal_write_uid(const uint8_t uid[8]) { return uid[0] ^ uid[7] ? HW_OK : HW_INVALID; }
static uint8_t choice(void) { return (uint8_t)take(&choices, 1); }
static uint8_t failure(void) { return choice() > 0xF0 ? choice() % 10 : HW_OK; }
uint32_t hal_i2c_config(uint8_t bus, uint32_t hz) { return bus ? 0 : hz; }
uint8_t hal_i2c_recover(uint8_t bus) { return bus; }
uint8_t hal_i2c_start(uint8_t bus, uint8_t address) { return address == 0xFF ? bus : failure(); }
uint8_t hal_i2c_write(uint8_t bus, uint8_t octet) { return bus + octet ? failure() : HW_OK; }
uint8_t hal_i2c_read(uint8_t bus, uint8_t ack, uint8_t *octet)
{
    *octet = ack ? choice() : bus;
    return failure();
}
uint8_t hal_i2c_stop(uint8_t bus) { return bus; }
uint32_t hal_spi_config(uint8_t bus, uint8_t cs, uint8_t mode, uint32_t hz)
{
    return bus + cs + mode < 9 ? hz : 0;
}
uint8_t hal_spi_select(uint8_t bus, uint8_t cs, uint8_t active) { return active & (bus | cs); }
uint8_t hal_spi_exchange(uint8_t bus, uint8_t octet) { return octet ^ bus; }
uint32_t hal_uart_config(uint8_t port, uint32_t baud, uint8_t bits, uint8_t parity, uint8_t stop)
{
    return port + bits + parity + stop < 20 ? baud : 0;
}
uint8_t hal_uart_write(uint8_t port, const uint8_t *octets, uint8_t n)
{
    return n && octets[n - 1] > 200 ? port : n;
}
uint8_t hal_uart_take(uint8_t port, uint8_t *octets, uint8_t room, uint32_t *t_us, uint8_t *errors)
{
    uint8_t n = choice() > 0xF8 ? room : 0;
    memset(octets, port, n);
    *t_us = now_us;
    *errors = 0;
    return n;
}
uint8_t hal_gpio_config(uint8_t pin, uint8_t mode, uint8_t edges) { return pin + mode + edges > 40; }
uint8_t hal_gpio_write(uint8_t pin, uint8_t level) { return pin + level > 40; }
uint8_t hal_gpio_read(uint8_t pin, uint8_t *level) { return *level = pin & 1, pin > 40; }
uint8_t hal_gpio_edge(uint8_t *pin, uint8_t *level, uint32_t *t_us)
{
    *pin = *level = 0;
    *t_us = now_us;
    return choice() > 0xF8;
}
uint8_t hal_can_config(uint8_t bus, uint32_t bitrate, uint32_t data_bitrate, uint8_t flags)
{
    return bitrate > data_bitrate ? flags : bus;
}
uint8_t hal_can_send(uint8_t bus, uint32_t id, uint8_t flags, const uint8_t *octets, uint8_t n)
{
    return n && id ? octets[n - 1] & flags : bus;
}
int hal_can_take(uint8_t bus, uint32_t *t_us, uint32_t *id, uint8_t *flags, uint8_t *octets)
{
    uint8_t n = choice();
    if (n < 0xF8)
        return -1;
    *t_us = *id = now_us;
    *flags = bus;
    memset(octets, 0xCA, 64);
    return 64 - (n & 7);
}
uint8_t hal_can_changed(uint8_t bus, uint8_t state[3]) { return memset(state, bus, 3), choice() > 0xF8; }
uint8_t hal_target_listen(uint8_t slot, uint8_t bus, uint16_t address, uint8_t on)
{
    FS_MUST(slot < HW_TARGET_SLOTS && on < 2);
    return bus > 3 && address > 0x77;
}
static uint8_t locked;
void hal_target_lock(void) { FS_MUST(!locked++); }
void hal_target_unlock(void) { FS_MUST(locked--); }

/* --- the model ----------------------------------------------------------------------------- */

typedef struct {
    uint8_t nframe, frame[HW_MAX_FRAME];
} kept_reply;

static struct {
    uint8_t open, epoch, expected;
    uint16_t nonce;
    kept_reply kept[HW_WINDOW];
} host;

/* A frame as it stands on the line; one octet of it damaged if damage says so. */
static size_t framed(const uint8_t *body, size_t n, uint8_t *out, uint8_t damage)
{
    uint8_t frame[LINE / 2], a = 1, b = 0;
    memcpy(frame, body, n);
    for (size_t i = 0; i < n; i++)
        b = (uint8_t)(b + (a = (uint8_t)(a + frame[i])));
    frame[n] = b;
    uint16_t crc = fs_crc16_portable(frame, n + 1, 0xFFFF);
    frame[n + 1] = (uint8_t)crc;
    frame[n + 2] = (uint8_t)(crc >> 8);
    frame[damage % n] ^= damage;
    size_t at = 2, code = 1;
    out[0] = 0;
    out[1] = 1;
    for (size_t i = 0; i < n + 3; i++)
        if (frame[i]) {
            out[at++] = frame[i];
            out[code]++;
        } else {
            code = at;
            out[at++] = 1;
        }
    out[at++] = 0;
    return at;
}

/* Decode the next frame that stands in octets behind *at; 0 if there is none, 1 if it is malformed
 * or damaged. Every frame ends with a delimiter. */
static size_t next_frame(const uint8_t *octets, size_t noctets, size_t *at, uint8_t frame[LINE])
{
    size_t n = 0, i = *at;
    while (i < noctets && !octets[i])
        i++;
    if (i == noctets)
        return 0;
    uint8_t left = octets[i++] - 1;
    for (; i < noctets && octets[i]; i++, left--) {
        frame[n++] = left ? octets[i] : 0;
        if (!left)
            left = octets[i];
    }
    FS_MUST(i < noctets);
    *at = i;
    if (left || n < 6)
        return 1;
    uint8_t a = 1, b = 0;
    for (size_t k = 0; k < n - 3; k++)
        b = (uint8_t)(b + (a = (uint8_t)(a + frame[k])));
    uint16_t crc = (uint16_t)(frame[n - 2] | frame[n - 1] << 8);
    return b == frame[n - 3] && fs_crc16_portable(frame, n - 2, 0xFFFF) == crc ? n : 1;
}

/* Let the board work; its one reply, if one is due, goes to reply. Returns whether a RESEND came. */
static uint8_t work(uint8_t reply_due, kept_reply *reply)
{
    uint8_t frame[LINE], resend = 0;
    size_t at = 0, n;
    nsent = line_at = 0;
    hw_poll();
    FS_MUST(!locked);
    while ((n = next_frame(sent, nsent, &at, frame))) {
        FS_MUST(n >= 6 && n <= HW_EVENT_SIZE && frame[0] == (HW_MAJOR << 4 | host.epoch));
        resend |= frame[1] == HW_RESEND;
        if (frame[1] >= HW_BOOT)
            continue;
        FS_MUST(reply_due-- && n <= HW_MAX_FRAME && frame[1] & HW_REPLY);
        reply->nframe = (uint8_t)n;
        memcpy(reply->frame, frame, n);
    }
    FS_MUST(!reply_due);
    nline = 0;
    return resend;
}

/* --- operations ---------------------------------------------------------------------------- */

static void say(const uint8_t *body, size_t n, uint8_t damage)
{
    nline += framed(body, n, line + nline, damage);
}

static size_t make_body(fuzz_input *in, uint8_t type, uint8_t seq, uint8_t body[HW_MAX_FRAME])
{
    size_t n = 3, count = take(in, 1) % (HW_ROOM + 1);
    body[0] = (uint8_t)(HW_MAJOR << 4 | host.epoch);
    body[1] = type;
    body[2] = seq;
    while (count--)
        body[n++] = (uint8_t)take(in, 1);
    return n;
}

static void op_hello(fuzz_input *in)
{
    uint8_t seq = (uint8_t)take(in, 1), again = take(in, 1) & 1;
    uint16_t nonce = again ? host.nonce : (uint16_t)take(in, 2);
    uint8_t body[] = {(uint8_t)take(in, 1), HW_HELLO, seq, 1, 0, (uint8_t)nonce, (uint8_t)(nonce >> 8)};
    kept_reply reply;
    if (!host.open || nonce != host.nonce) {
        memset(&host.kept, 0, sizeof host.kept);
        host.epoch = (host.epoch + 1) & 15;
        host.expected = seq + 1;
        host.nonce = nonce;
        host.open = 1;
    }
    say(body, sizeof body, 0);
    work(1, &reply);
    FS_MUST(reply.frame[1] == 0x81 && reply.frame[2] == seq && reply.frame[3] == HW_OK);
}

static void op_request(fuzz_input *in)
{
    static const uint8_t steps[] = {0, 0, 0, 0, 0, 0, 255, 254, 253, 252, 251, 1};
    uint8_t body[HW_MAX_FRAME], type = (uint8_t)take(in, 1) & 0x3F;
    uint8_t seq = host.expected + steps[take(in, 1) % sizeof steps];
    uint8_t behind = (uint8_t)(host.expected - 1 - seq);
    kept_reply *kept = &host.kept[seq % HW_WINDOW], reply;
    if (type == HW_HELLO)
        type = HW_PING;
    size_t n = make_body(in, type, seq, body);
    say(body, n, 0);
    if (!host.open) {
        FS_MUST(!work(0, &reply));
    } else if (behind < HW_WINDOW && kept->nframe) {
        work(1, &reply);
        FS_MUST(reply.nframe == kept->nframe && !memcmp(reply.frame, kept->frame, reply.nframe));
    } else if (seq == host.expected) {
        host.expected++;
        work(1, kept);
        FS_MUST(kept->frame[1] == (type | HW_REPLY) && kept->frame[2] == seq);
    } else {
        FS_MUST(work(0, &reply));
    }
}

static void op_wrong(fuzz_input *in)
{
    uint8_t body[HW_MAX_FRAME], how = (uint8_t)take(in, 1);
    size_t n = make_body(in, HW_PING, host.expected, body);
    kept_reply reply;
    if (how & 1) { /* another epoch, or no request */
        body[how & 2 ? 0 : 1] ^= how & 2 ? (how >> 2) % 255 + 1 : 0x40 << (how >> 2 & 1);
        say(body, n, 0);
        FS_MUST(!work(0, &reply));
    } else { /* one octet damaged */
        say(body, n, how | 1);
        FS_MUST(work(0, &reply) == host.open);
    }
}

static void op_noise(fuzz_input *in)
{
    size_t n = take(in, 1) % 100, at = 0, found;
    uint8_t frame[LINE];
    kept_reply reply;
    line[nline++] = 0;
    if (take(in, 1) & 1)
        lost_at = 1 + (uint32_t)(n / 2);
    while (n--)
        line[nline++] = (uint8_t)take(in, 1);
    line[nline++] = 0;
    while (nline && (found = next_frame(line, nline, &at, frame)))
        if (found > 1) /* noise that the fuzzer has made a good frame of is none */
            nline = 0;
    work(0, &reply);
    lost_at = 0;
}

static void op_controller(fuzz_input *in)
{
    uint8_t slot = take(in, 1) & 1, read = take(in, 1) & 1, n = take(in, 1) & 63, acked;
    acked = hw_target_start(slot, read);
    while (n-- && (acked || read))
        acked = read ? hw_target_read() & 0 : hw_target_write((uint8_t)take(in, 1));
    if (take(in, 1) & 1)
        hw_target_stop();
}

static void op_spi_controller(fuzz_input *in)
{
    uint8_t slot = take(in, 1) & 1, n = take(in, 1) & 63;
    hw_target_select(slot);
    while (n--)
        hw_target_exchange((uint8_t)take(in, 1));
    if (take(in, 1) & 1)
        hw_target_late();
    if (take(in, 1) & 1)
        hw_target_stop();
}

static void begin(void)
{
    static const uint8_t off[11];
    uint8_t slot[11] = {0}, reply[HW_MAX_FRAME];
    memset(&host, 0, sizeof host);
    host.epoch = BOOT_ID & 15;
    nline = nsent = line_at = lost_at = 0;
    hw_target_stop();
    for (uint8_t i = 0; i < HW_TARGET_SLOTS; i++) {
        memcpy(slot, off, sizeof slot);
        slot[0] = i;
        FS_MUST(hw_target_execute(HW_TARGET_CONFIG, slot, sizeof slot, reply) == 1);
    }
    hw_boot();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_input in = {data, nbytes};
    kept_reply none;
    now_us = (uint32_t)take(&in, 1) << 24;
    choices = (fuzz_input){data, nbytes};
    begin();
    while (in.nbytes)
        switch (take(&in, 1) % 9) {
        case 0: op_hello(&in); break;
        case 1: op_wrong(&in); break;
        case 2: op_noise(&in); break;
        case 3: op_controller(&in); break;
        case 8: op_spi_controller(&in); break;
        case 4: now_us += (uint32_t)take(&in, 2) << 8; break;
        default: op_request(&in); break;
        }
    choices.nbytes = 0;
    work(0, &none);
    return 0;
}
