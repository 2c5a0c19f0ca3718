/* Segmented space packets (CCSDS 133.0-B-2 section 4.1.3.4.2): a first, any number of continuing
 * and a last packet of one APID, with counts that follow one another, carry one unit of data.
 *
 * Memory is bounded by the slots of the caller. A group that misses a part can never be whole, so
 * it is dropped at the first part that does not fit, and its later parts are dropped one by one. */
#include "flatsat.h"

#include <string.h>

enum { HEADER = 6 };

/* Sequence flags. */
enum { CONTINUES, BEGINS, ENDS, WHOLE };
enum { COUNT_MASK = 0x3FFF };

static uint32_t key_of(uint16_t id)
{
    return (id >> 1 & 0x800) | (id & 0x7FF);
}

static uint16_t word(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static void drop(fs_packet_joiner *j, fs_packet_slot *slot, uint64_t *why)
{
    j->parts_dropped += slot->parts;
    *why += 1;
    j->open[key_of(slot->id)] = 0;
    slot->parts = 0;
}

/* A free slot, made by dropping the oldest group if need be. */
static fs_packet_slot *allot(fs_packet_joiner *j)
{
    fs_packet_slot *oldest = j->slots;
    for (uint32_t i = 0; i < j->nslots; i++) {
        if (!j->slots[i].parts)
            return &j->slots[i];
        if (j->slots[i].number < oldest->number)
            oldest = &j->slots[i];
    }
    drop(j, oldest, &j->evicted);
    return oldest;
}

/* Put the data of a part behind what the slot holds. Returns 0 if that is too much. */
static int append(fs_packet_joiner *j, fs_packet_slot *slot, const uint8_t *packet, uint32_t nbytes)
{
    uint32_t skip = HEADER + (slot->parts ? j->secondary_nbytes : 0);
    uint32_t n = nbytes > skip ? nbytes - skip : 0;
    slot->parts++;
    if (n > j->slot_nbytes - slot->nbytes)
        return 0;
    memcpy(j->memory + (size_t)(slot - j->slots) * j->slot_nbytes + slot->nbytes, packet + skip, n);
    slot->nbytes += n;
    return 1;
}

/* Take one part. Returns the slot that became whole, or NULL. */
static fs_packet_slot *take(fs_packet_joiner *j, const uint8_t *packet, uint32_t nbytes)
{
    uint16_t id = word(packet), sequence = word(packet + 2);
    uint32_t key = key_of(id), flags = sequence >> 14;
    fs_packet_slot *slot = j->open[key] ? &j->slots[j->open[key] - 1] : NULL;
    int follows = slot && ((sequence - slot->sequence) & COUNT_MASK) == (slot->parts & COUNT_MASK);
    if (slot && (flags == BEGINS || flags == WHOLE || !follows)) {
        drop(j, slot, &j->interrupted);
        slot = NULL;
    }
    if (flags == BEGINS) {
        slot = allot(j);
        *slot = (fs_packet_slot){.number = j->begun++, .id = id, .sequence = sequence};
        j->open[key] = (uint16_t)(slot - j->slots + 1);
    }
    if (!slot) {
        j->parts_dropped += flags != WHOLE;
        return NULL;
    }
    if (!append(j, slot, packet, nbytes)) {
        drop(j, slot, &j->too_long);
        return NULL;
    }
    return flags == ENDS ? slot : NULL;
}

static int well_formed(const uint64_t *offsets, const uint32_t *lengths, size_t count, size_t nbytes)
{
    for (size_t i = 0; i < count; i++)
        if (lengths[i] < FS_PACKET_MIN_NBYTES || offsets[i] > nbytes ||
            lengths[i] > nbytes - offsets[i])
            return 0;
    return 1;
}

int64_t fs_packet_join(fs_packet_joiner *joiner, const uint8_t *buf, size_t nbytes,
                       const uint64_t *offsets, const uint32_t *lengths, size_t count,
                       fs_packet_unit *units, size_t nunits, uint8_t *out, size_t capacity,
                       uint64_t *taken)
{
    fs_packet_joiner *j = joiner;
    size_t n = 0, used = 0, i = 0;
    *taken = 0;
    if (!j->nslots || j->nslots >= UINT16_MAX)
        return FS_E_RANGE;
    if (!well_formed(offsets, lengths, count, nbytes))
        return FS_E_SHORT;
    if (capacity < j->slot_nbytes)
        return FS_E_CAPACITY;
    for (; i < count && n < nunits && capacity - used >= j->slot_nbytes; i++) {
        const uint8_t *packet = buf + offsets[i];
        if ((word(packet) & 0x7FF) == FS_PACKET_APID_IDLE) {
            j->idle++;
            continue;
        }
        fs_packet_slot *slot = take(j, packet, lengths[i]);
        if (packet[2] >> 6 == WHOLE) {
            j->unsegmented++;
            units[n++] = (fs_packet_unit){offsets[i] + HEADER, lengths[i] - HEADER, 1,
                                          word(packet), word(packet + 2)};
        }
        if (!slot)
            continue;
        memcpy(out + used, j->memory + (size_t)(slot - j->slots) * j->slot_nbytes, slot->nbytes);
        units[n++] = (fs_packet_unit){used, slot->nbytes, slot->parts, slot->id, slot->sequence};
        used += slot->nbytes;
        j->complete++;
        j->open[key_of(slot->id)] = 0;
        slot->parts = 0;
    }
    *taken = i;
    return (int64_t)n;
}
