/* Sequence counts of space packets (CCSDS 133.0-B-2 section 4.1.3.4): 14 bits, one count for each
 * packet type and APID.
 *
 * The count only says where a packet is modulo 16,384. The half of the circle in front of the last
 * one is read as a gap, the half behind as packets out of order or as a sender that began anew. */
#include "flatsat.h"

#include <string.h>

enum { COUNTS = 16384, HALF = COUNTS / 2 };

/* Read one count; `missing` gets the packets lost in front of it. */
static uint8_t judge(fs_packet_channel *c, uint32_t window, uint16_t count, uint16_t *missing)
{
    uint32_t ahead = (uint32_t)(count - c->count - 1) & (COUNTS - 1);
    uint32_t back = COUNTS - 1 - ahead;
    *missing = 0;
    if (!c->seen)
        return FS_SEQUENCE_FIRST;
    if (!ahead)
        return FS_SEQUENCE_NEXT;
    if (!back)
        return FS_SEQUENCE_DUPLICATE;
    if (!count)
        return FS_SEQUENCE_RESTART;
    if (ahead < HALF) {
        *missing = (uint16_t)ahead;
        return FS_SEQUENCE_GAP;
    }
    return back <= window ? FS_SEQUENCE_LATE : FS_SEQUENCE_JUMP;
}

static void tally(fs_packet_channel *c, uint8_t verdict, uint16_t count, uint16_t missing)
{
    c->gaps += verdict == FS_SEQUENCE_GAP;
    c->lost += missing;
    c->duplicates += verdict == FS_SEQUENCE_DUPLICATE;
    c->late += verdict == FS_SEQUENCE_LATE;
    c->restarts += verdict == FS_SEQUENCE_RESTART;
    c->jumps += verdict == FS_SEQUENCE_JUMP;
    c->bad += verdict == FS_SEQUENCE_BAD;
    if (verdict != FS_SEQUENCE_LATE && verdict < FS_SEQUENCE_IDLE) {
        c->count = count;
        c->seen = 1;
    }
}

/* Most of the table is never met: it is memory that nothing touches. */
static fs_packet_channel *channel_of(fs_packet_tracker *tracker, unsigned key)
{
    uint64_t bit = (uint64_t)1 << (key & 63);
    fs_packet_channel *c = &tracker->channel[key];
    if (!(tracker->met[key >> 6] & bit)) {
        tracker->met[key >> 6] |= bit;
        memset(c, 0, sizeof *c);
    }
    return c;
}

int64_t fs_packet_track(fs_packet_tracker *tracker, const fs_packet_columns *in, const uint8_t *ok,
                        size_t count, uint16_t *missing, uint8_t *verdict)
{
    uint32_t window = tracker->late_window;
    if (window >= HALF)
        return FS_E_RANGE;
    for (size_t i = 0; i < count; i++) {
        uint16_t id = in->id[i], number = in->sequence[i] & (COUNTS - 1), lost = 0;
        fs_packet_channel *c = channel_of(tracker, (id >> 1 & 0x800u) | (id & 0x7FFu));
        uint8_t what;
        if (ok && !ok[i])
            what = FS_SEQUENCE_BAD;
        else if ((id & 0x7FF) == FS_PACKET_APID_IDLE)
            what = FS_SEQUENCE_IDLE;
        else
            what = judge(c, window, number, &lost);
        c->packets++;
        c->octets += in->nbytes[i];
        if (what == FS_SEQUENCE_NEXT)
            c->count = number;
        else
            tally(c, what, number, lost);
        missing[i] = lost;
        verdict[i] = what;
    }
    return (int64_t)count;
}
