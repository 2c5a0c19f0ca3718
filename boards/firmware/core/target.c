/* The front end: the board as I2C or SPI target that answers from register images which the host keeps
 * current.
 *
 * A controller sets the pointer with the first octets of a write, pointer high octet first, and
 * reads registers from there; register p is at octet p * width of the image. An image is taken
 * whole or not at all: IMAGE_WRITE waits for the end of a transaction and then keeps the interrupt
 * out. Before its last octet has been written once, and when nothing has renewed it for fresh_ms, an
 * image is stale: the controller is not acknowledged, because a wrong reading would look right.
 *
 * On SPI there is no such refusal: a stale image reads as FFh, and so does whatever the controller
 * reads while it sends the first octet, which has the register and the bit of direction. Freshness and
 * the record are seen to when chip select comes, because the answer to that octet cannot wait.
 *
 * What controllers do goes through a ring from the interrupt to the main loop. A record is put
 * behind the ring's head and becomes valid when the transaction ends and the head moves. */
#include "hal.h"
#include "hilwire.h"

#if HW_CAPABILITIES & (HW_CAP_I2C_TARGET | HW_CAP_SPI_TARGET)

enum {
    CONFIG_SIZE = 11, IMAGE_HEAD = 3,
    LONGEST = HW_EVENT_SIZE - HW_HEAD - HW_CHECK + 2,
    INCREMENT = 1, KEEP = 2,
    RING_MASK = HW_TARGET_RING - 1,
    PATIENCE_US = 20000,
    WRITES = 0, READS = 1, SELECTED = 2 /* chip select is active, and nothing has come */
};

static struct slot {
    uint8_t used, bus, width, pointer_size, flags; /* pointer_size of SPI: mask of the register */
    uint8_t fresh, complete, listening;
    uint16_t address, size, pointer;
    uint32_t fresh_us, renewed_us; /* fresh_us 0: never stale */
    uint8_t image[HW_TARGET_IMAGE];
} slots[HW_TARGET_SLOTS];

#ifdef HW_TARGET_SWITCHED
#define SWITCHED 1
#else
#define SWITCHED 0
#endif

static uint8_t is_spi(const struct slot *s) { return s->address >> 15; }

static volatile uint8_t active; /* slot + 1 while a transaction is under way */
static uint8_t reading; /* WRITES, READS, SELECTED */
static uint8_t within; /* octets of the present register that are read */
static uint16_t at, count; /* octet of the image to be read next; octets of this transaction */
static uint16_t first;     /* pointer that the read began with */

static volatile uint8_t ring[HW_TARGET_RING];
static volatile uint8_t head, tail;
static uint8_t length; /* of the record behind the head, its own length octet included; 0: broken */

/* One more octet of the record. Where the ring is full the record is broken and stays so, though
 * the main loop makes room meanwhile. */
static uint8_t put(uint8_t octet)
{
    if ((uint8_t)(head + length - tail) > RING_MASK)
        length = 0;
    if (!length || length == LONGEST)
        return 0;
    ring[(uint8_t)(head + length++) & RING_MASK] = octet;
    return 1;
}

static void put_bytes(uint32_t value, uint8_t n)
{
    for (; n; n--, value >>= 8)
        put((uint8_t)value);
}

static void begin(uint8_t type, uint8_t slot)
{
    length = 1;
    put(type);
    put(slot);
}

/* Make the record valid, or count it as lost. */
static void commit(void)
{
    if (length) {
        ring[head & RING_MASK] = length;
        head += length;
    } else {
        hw_count(HW_EVENTS_LOST);
    }
    length = 0;
}

static uint8_t is_fresh(struct slot *s)
{
    if (s->fresh && s->fresh_us && hal_micros() - s->renewed_us > s->fresh_us)
        s->fresh = 0;
    return s->fresh;
}

static uint16_t age_ms(const struct slot *s)
{
    uint32_t age = (hal_micros() - s->renewed_us) / 1000;
    return age > 0xFFFF || !s->complete ? 0xFFFF : (uint16_t)age;
}

static void tell_stale(uint8_t slot)
{
    begin(HW_TARGET_STALE, slot);
    put_bytes(age_ms(&slots[slot]), 2);
    commit();
}

/* A transaction is over, or goes on with another START (again = slot + 1 if a read of it). */
static void finish(uint8_t again)
{
    if (!active)
        return;
    if (reading == SELECTED) {
        length = 0;
    } else if (reading == READS) {
        put_bytes(first, 2);
        put(count > 0xFF ? 0xFF : (uint8_t)count);
        commit();
    } else if (again != active || count > slots[active - 1].pointer_size) {
        commit();
    }
    active = 0;
}

uint8_t hw_target_start(uint8_t slot, uint8_t read)
{
    struct slot *s = &slots[slot];
    finish(read ? slot + 1 : 0);
    if (!s->used || !is_fresh(s)) {
        tell_stale(slot);
        return 0;
    }
    begin(read == READS ? HW_TARGET_READ : HW_TARGET_WRITE, slot);
    put_bytes(hal_micros(), 4);
    reading = read;
    count = within = 0;
    first = s->pointer;
    at = s->pointer < s->size ? s->pointer * s->width : s->size; /* 16 bits hold no more */
    active = slot + 1;
    return 1;
}

#if HW_CAPABILITIES & HW_CAP_SPI_TARGET
void hw_target_select(uint8_t slot) { hw_target_start(slot, SELECTED); }

/* The first octet behind chip select: where and which way. */
static uint8_t command(const struct slot *s, uint8_t octet)
{
    uint8_t how = (uint8_t)(s->address >> 8), bit = octet >> (how & HW_SPI_BIT) & 1;
    if (bit != !!(how & HW_SPI_READS)) {
        reading = WRITES;
        put(octet);
        return 0xFF;
    }
    reading = READS;
    if (length)
        ring[(uint8_t)(head + 1) & RING_MASK] = HW_TARGET_READ;
    first = octet & s->pointer_size;
    at = first * s->width;
    octet = hw_target_read();
    count = 0; /* it is on its way, and not read yet */
    return octet;
}

uint8_t hw_target_exchange(uint8_t octet)
{
    if (!active)
        return 0xFF;
    if (reading == READS)
        return hw_target_read();
    if (reading == SELECTED)
        return command(slots + active - 1, octet);
    put(octet);
    return 0xFF;
}

void hw_target_late(void)
{
    if (!active)
        return;
    begin(HW_TARGET_STALE, active - 1);
    put_bytes(0, 2);
    commit();
    active = 0;
}
#endif

uint8_t hw_target_write(uint8_t octet)
{
    struct slot *s = slots + active;
    uint8_t room;
    if (!active)
        return 0;
    s--;
    room = put(octet);
    if (count < s->pointer_size) /* told or not: what is read next depends on it */
        s->pointer = (uint16_t)((count ? s->pointer << 8 : 0) | octet);
    else if (!room)
        return 0;
    count++;
    return 1;
}

uint8_t hw_target_read(void)
{
    struct slot *s = slots + active;
    uint8_t octet = 0xFF;
    if (!active)
        return octet;
    s--;
    if (at < s->size)
        octet = s->image[at];
    count++;
    at++;
    if (++within == s->width) {
        within = 0;
        if (!(s->flags & INCREMENT))
            at -= s->width;
        else if (!(s->flags & KEEP))
            s->pointer++;
    }
    return octet;
}

void hw_target_stop(void) { finish(0); }

/* Keep controllers out between two transactions; 0 if one does not end. */
static uint8_t hold_off(void)
{
    uint32_t since = hal_micros();
    for (;;) {
        hal_target_lock();
        if (!active)
            return 1;
        hal_target_unlock();
        if (hal_micros() - since > PATIENCE_US)
            return 0;
    }
}

static uint8_t listen(uint8_t slot, uint8_t on)
{
    slots[slot].listening = on;
    return hal_target_listen(slot, slots[slot].bus, slots[slot].address, on);
}

/* Listen to what was configured; a slot that cannot is none. */
static uint8_t attend(uint8_t slot)
{
    uint8_t status = listen(slot, 1);
    if (status)
        slots[slot].used = slots[slot].listening = 0;
    return status;
}

static uint8_t configure(uint8_t slot, const uint8_t *p)
{
    struct slot *s = &slots[slot];
    uint16_t size = (uint16_t)(p[9] | p[10] << 8);
    uint8_t width = p[4];
    if (size > HW_TARGET_IMAGE || (size && (!width || width > 4 || !p[5])))
        return HW_INVALID;
    if (size && p[5] > 2 && !(p[3] & HW_SPI_TARGET))
        return HW_INVALID;
    if (s->listening)
        hal_target_listen(slot, s->bus, s->address, 0);
    if (!hold_off()) {
        if (s->listening)
            listen(slot, 1);
        return HW_BUSY;
    }
    s->listening = 0;
    s->used = size != 0;
    s->bus = p[1];
    s->address = (uint16_t)(p[2] | p[3] << 8);
    s->width = width;
    s->pointer_size = p[5];
    s->flags = p[6];
    s->fresh_us = (uint32_t)(uint16_t)(p[7] | p[8] << 8) * 1000;
    s->size = size;
    s->pointer = 0;
    s->fresh = s->complete = 0;
    hal_target_unlock();
    if (!size || (SWITCHED && !is_spi(s)))
        return HW_OK; /* where it is switched it listens with the first image */
    return attend(slot);
}

static uint8_t write_image(uint8_t slot, uint16_t offset, const uint8_t *octets, uint8_t n)
{
    struct slot *s = &slots[slot];
    if (!hold_off())
        return HW_BUSY;
    for (uint8_t i = 0; i < n; i++)
        s->image[offset + i] = octets[i];
    s->renewed_us = hal_micros();
    if (offset + n == s->size)
        s->complete = 1;
    s->fresh = s->complete;
    hal_target_unlock();
    return SWITCHED && s->fresh && !s->listening ? attend(slot) : HW_OK;
}

uint8_t hw_target_execute(uint8_t type, uint8_t *payload, uint8_t n, uint8_t *reply)
{
    uint16_t offset = (uint16_t)(payload[1] | payload[2] << 8);
    uint8_t slot = payload[0], count;
    const struct slot *s = slots;
    if (type > HW_IMAGE_READ)
        return hw_fail(reply, HW_UNSUPPORTED);
    if (n < (type == HW_TARGET_CONFIG ? CONFIG_SIZE : IMAGE_HEAD + (type == HW_IMAGE_READ)))
        return hw_fail(reply, HW_INVALID);
    if (slot >= HW_TARGET_SLOTS)
        return hw_fail(reply, HW_ABSENT);
    if (type == HW_TARGET_CONFIG)
        return hw_fail(reply, configure(slot, payload));
    s += slot;
    if (!s->used)
        return hw_fail(reply, HW_ABSENT);
    count = type == HW_IMAGE_WRITE ? n - IMAGE_HEAD : payload[IMAGE_HEAD];
    if (offset > s->size || count > s->size - offset || count > HW_ROOM - 1)
        return hw_fail(reply, HW_INVALID);
    if (type == HW_IMAGE_WRITE)
        return hw_fail(reply, write_image(slot, offset, payload + IMAGE_HEAD, count));
    for (uint8_t i = 0; i < count; i++)
        reply[1 + i] = s->image[offset + i];
    return 1 + count;
}

void hw_target_service(void)
{
#ifdef HW_TARGET_SWITCHED
    for (uint8_t slot = 0; slot < HW_TARGET_SLOTS; slot++) {
        struct slot *s = &slots[slot];
        if (s->listening && !is_spi(s) && !is_fresh(s)) {
            listen(slot, 0);
            hal_target_lock();
            finish(0); /* nobody would tell of its end any more */
            tell_stale(slot);
            hal_target_unlock();
        }
    }
#endif
    /* What comes meanwhile waits for the next look: the link has its turn in between. */
    for (uint8_t end = head; tail != end;) {
        uint8_t *e = hw_event(), n = ring[tail & RING_MASK] - 1;
        uint8_t type = ring[(uint8_t)(tail + 1) & RING_MASK];
        for (uint8_t i = 0; i < n - 1; i++)
            e[i] = ring[(uint8_t)(tail + 2 + i) & RING_MASK];
        tail += n + 1;
        hw_event_send(type, n - 1);
    }
}
#endif
