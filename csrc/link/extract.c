/* Packets and other units out of the data zones of frames (132.0-B-3 section 4.3.2, 732.0-B-4
 * section 4.3.2, 732.1-B-3 section 4.3.2).
 *
 * Packets stand one behind the other without regard to where zones end. The first header pointer of
 * a zone says where the first packet starts in it: in lock it only confirms what the length of the
 * packet before says, and after a loss it is where work begins again. A run of packets inside one
 * zone is copied as a whole; a packet over several zones is gathered in its channel's slot, all but
 * its last piece, which goes straight to the output. */
#include "frame_kernels.h"

#include <string.h>

enum { HEADER = 6, APID_IDLE = 0x7FF, ENCAPSULATION = 7 };

/* Octets of the header of an encapsulation packet, by the last two bits of its first octet. */
static const uint8_t ENCAPSULATION_HEADER[4] = {1, 2, 4, 8};

/* Octets of the header that begins here; 0 for a version that is none. */
static size_t header_nbytes(const uint8_t *head)
{
    uint32_t version = head[0] >> 5;
    return version == 0 ? HEADER : version == ENCAPSULATION ? ENCAPSULATION_HEADER[head[0] & 3] : 0;
}

/* Octets of the packet whose header is here in full, 0 if they contradict the header itself. */
static uint64_t packet_nbytes(const uint8_t *head)
{
    uint64_t n = 0;
    if (head[0] >> 5 == 0)
        return (uint64_t)(head[4] << 8 | head[5]) + 7;
    size_t nheader = ENCAPSULATION_HEADER[head[0] & 3];
    if (nheader == 1) /* only idle packets have no length */
        return !(head[0] & 0x1C);
    for (size_t i = nheader / 2; i < nheader; i++)
        n = n << 8 | head[i];
    return n < nheader ? 0 : n;
}

static uint8_t packet_kind(const uint8_t *head)
{
    if (head[0] >> 5 == ENCAPSULATION) /* protocol 0 is idle */
        return head[0] & 0x1C ? FS_UNIT_ENCAPSULATION : FS_UNIT_IDLE;
    return ((head[0] & 7) << 8 | head[1]) == APID_IDLE ? FS_UNIT_IDLE : FS_UNIT_PACKET;
}

static void count_unit(fs_frame_counters *n, uint8_t kind, uint64_t nbytes)
{
    if (kind == FS_UNIT_IDLE) {
        n->idle_packets++;
        n->idle_octets += nbytes;
    } else if (kind <= FS_UNIT_ENCAPSULATION) {
        n->packets += kind == FS_UNIT_PACKET;
        n->encapsulation_packets += kind == FS_UNIT_ENCAPSULATION;
        n->packet_octets += nbytes;
    } else {
        n->units++;
        n->unit_octets += nbytes;
    }
}

/* The row of a unit that begins at the end of the output. What happened since the unit before is
 * told with this one, and forgotten. */
static fs_frame_row next_row(const fs_extraction *ex, uint8_t kind)
{
    fs_frame_slot *slot = ex->slot;
    uint8_t replay = ex->parts->flags & FS_FRAME_REPLAY ? FS_SINCE_REPLAY : 0;
    uint32_t info = kind > FS_UNIT_ENCAPSULATION ? ex->parts->info : 0;
    fs_frame_row row = {ex->to->octets_used, ex->number, ex->number, 0, slot->lost, info,
                        slot->vcid, slot->map, kind, slot->since | replay};
    slot->lost = 0;
    slot->since = 0;
    return row;
}

/* Give what the slot holds and then `piece` as one unit. */
static void give(const fs_extraction *ex, uint8_t kind, const uint8_t *piece, size_t npiece)
{
    fs_frame_slot *slot = ex->slot;
    fs_frame_sink *to = ex->to;
    uint32_t nbytes = slot->npending + (uint32_t)npiece;
    count_unit(ex->n, kind, nbytes);
    if (kind != FS_UNIT_IDLE || ex->rx->settings.keep_idle) {
        memcpy(to->octets + to->octets_used, slot->octets, slot->npending);
        memcpy(to->octets + to->octets_used + slot->npending, piece, npiece);
        fs_frame_row row = next_row(ex, kind);
        row.first_frame = slot->npending ? slot->first_frame : ex->number;
        row.nbytes = nbytes;
        to->rows[to->rows_used++] = row;
        to->octets_used += nbytes;
    }
    slot->npending = 0;
}

static void hold(const fs_extraction *ex, const uint8_t *data, size_t ndata)
{
    fs_frame_slot *slot = ex->slot;
    if (!slot->npending)
        slot->first_frame = ex->number;
    memcpy(slot->octets + slot->npending, data, ndata);
    slot->npending += (uint32_t)ndata;
}

void fs_slot_drop(fs_frame_slot *slot, fs_frame_counters *n)
{
    if (slot->npending) {
        n->packets_lost_pieces++;
        n->lost_octets += slot->npending;
        slot->since |= FS_SINCE_PIECE;
    }
    slot->npending = 0;
    slot->locked = 0;
}

/* A packet that cannot be: the rest of the zone is passed over. */
static void refuse(const fs_extraction *ex, uint64_t nbytes, size_t nleft)
{
    *(nbytes > FS_FRAME_UNIT_NBYTES ? &ex->n->oversize_units : &ex->n->bad_packets) += 1;
    ex->n->unaligned_octets += nleft;
    ex->slot->since |= FS_SINCE_BROKEN;
    ex->slot->locked = 0;
}

/* Octets before the first header pointer continue the packet begun in an earlier frame. Returns 0
 * if pointer and packet length tell the same story; the packet is then given if it ends here. */
static int continue_packet(const fs_extraction *ex, const uint8_t *data, size_t ndata)
{
    fs_frame_slot *slot = ex->slot;
    int goes_on = ex->parts->pointer == FS_NO_POINTER;
    if (!slot->npending)
        return goes_on ? FS_E_FORMAT : ndata ? FS_E_FORMAT : 0;
    uint32_t before = slot->npending;
    size_t nheader = header_nbytes(slot->octets), at = 0;
    if (before < nheader) {
        at = nheader - before < ndata ? nheader - before : ndata;
        hold(ex, data, at);
        if (slot->npending < nheader && goes_on)
            return 0;
    }
    uint64_t nbytes = slot->npending < nheader ? 0 : packet_nbytes(slot->octets);
    uint64_t rest = nbytes - slot->npending, here = ndata - at;
    if (nbytes < slot->npending || nbytes > FS_FRAME_UNIT_NBYTES || rest < here ||
        (rest > here && !goes_on)) {
        slot->npending = before; /* the piece of this frame is counted as passed over */
        return FS_E_FORMAT;
    }
    if (rest == here)
        give(ex, packet_kind(slot->octets), data + at, here);
    else
        hold(ex, data + at, here);
    return 0;
}

/* A run of space packets that are not idle, from `at` on. Returns where it ends. */
static size_t take_run(const fs_extraction *ex, const uint8_t *data, size_t ndata, size_t at)
{
    fs_frame_sink *to = ex->to;
    fs_frame_row *first = to->rows + to->rows_used, *next = first, row;
    size_t run = at;
    while (ndata - at >= HEADER) {
        const uint8_t *head = data + at;
        uint32_t id = (uint32_t)(head[0] << 8 | head[1]) & 0xE7FF;
        uint32_t nbytes = (uint32_t)(head[4] << 8 | head[5]) + 7;
        if (id >= APID_IDLE || nbytes > ndata - at)
            break;
        if (next == first)
            row = next_row(ex, FS_UNIT_PACKET);
        row.nbytes = nbytes;
        *next++ = row;
        row.offset += nbytes;
        row.lost = 0;
        row.since &= FS_SINCE_REPLAY;
        at += nbytes;
    }
    memcpy(to->octets + to->octets_used, data + run, at - run);
    to->octets_used += at - run;
    to->rows_used += (size_t)(next - first);
    ex->n->packets += (uint64_t)(next - first);
    ex->n->packet_octets += at - run;
    return at;
}

/* Whole packets from `at` on. Returns where the begin of one more, or something that is no packet,
 * stands. */
static size_t walk(const fs_extraction *ex, const uint8_t *data, size_t ndata, size_t at)
{
    while ((at = take_run(ex, data, ndata, at)) < ndata) {
        size_t nheader = header_nbytes(data + at), left = ndata - at;
        uint64_t nbytes = nheader && nheader <= left ? packet_nbytes(data + at) : 0;
        if (!nbytes || nbytes > left)
            break;
        give(ex, packet_kind(data + at), data + at, nbytes);
        at += nbytes;
    }
    return at;
}

/* What stands at the end of a zone: the begin of a packet, or nothing that is one. */
static void begin_packet(const fs_extraction *ex, const uint8_t *data, size_t ndata)
{
    size_t nheader = header_nbytes(data);
    uint64_t nbytes = nheader && nheader <= ndata ? packet_nbytes(data) : FS_FRAME_UNIT_NBYTES;
    if (!nheader || !nbytes || nbytes > FS_FRAME_UNIT_NBYTES)
        refuse(ex, nbytes, ndata);
    else
        hold(ex, data, ndata);
}

static void take_packets(const fs_extraction *ex)
{
    const fs_frame_parts *parts = ex->parts;
    fs_frame_slot *slot = ex->slot;
    int starts = parts->pointer != FS_NO_POINTER;
    size_t at = starts ? parts->pointer : parts->ndata;
    if (starts && at >= parts->ndata) {
        ex->n->pointer_errors++;
        ex->n->unaligned_octets += parts->ndata;
        slot->since |= FS_SINCE_BROKEN;
        fs_slot_drop(slot, ex->n);
        return;
    }
    if (slot->locked && continue_packet(ex, parts->data, at) < 0) {
        ex->n->pointer_errors++;
        slot->since |= FS_SINCE_BROKEN;
        fs_slot_drop(slot, ex->n);
    }
    if (!slot->locked)
        ex->n->unaligned_octets += at;
    if (!starts)
        return;
    slot->locked = 1;
    at = walk(ex, parts->data, parts->ndata, at);
    if (at < parts->ndata)
        begin_packet(ex, parts->data + at, parts->ndata - at);
}

/* Packets that begin and end in this zone; one begun before has no part in it. */
static void take_whole(const fs_extraction *ex)
{
    const fs_frame_parts *parts = ex->parts;
    fs_slot_drop(ex->slot, ex->n);
    size_t at = walk(ex, parts->data, parts->ndata, 0);
    if (at < parts->ndata)
        refuse(ex, 0, parts->ndata - at);
}

/* A portion of a unit that no length but its marks delimit. */
static void take_portion(const fs_extraction *ex)
{
    const fs_frame_parts *parts = ex->parts;
    fs_frame_slot *slot = ex->slot;
    if (parts->begins) {
        fs_slot_drop(slot, ex->n);
        slot->locked = 1;
    } else if (!slot->npending) {
        ex->n->unaligned_octets += parts->ndata;
        return;
    }
    if (parts->ndata > FS_FRAME_UNIT_NBYTES - slot->npending) {
        ex->n->oversize_units++;
        ex->n->lost_octets += parts->ndata;
        slot->since |= FS_SINCE_BROKEN;
        fs_slot_drop(slot, ex->n);
    } else if (!parts->ends) {
        hold(ex, parts->data, parts->ndata);
    } else if (parts->kind == FS_UNIT_PACKET) { /* its marks must tell what its length tells */
        hold(ex, parts->data, parts->ndata);
        size_t nheader = header_nbytes(slot->octets);
        if (nheader && nheader <= slot->npending && packet_nbytes(slot->octets) == slot->npending) {
            give(ex, packet_kind(slot->octets), parts->data, 0);
        } else {
            ex->n->bad_packets++;
            slot->since |= FS_SINCE_BROKEN;
            fs_slot_drop(slot, ex->n);
        }
    } else {
        give(ex, parts->kind, parts->data, parts->ndata);
    }
}

void fs_extract(const fs_extraction *ex)
{
    uint8_t form = ex->parts->zone;
    if (form == FS_ZONE_SDU) /* portions of one unit have one protocol */
        form = (uint8_t)(form | ex->parts->protocol << 3);
    if (ex->slot->form != form)
        fs_slot_drop(ex->slot, ex->n);
    ex->slot->form = form;
    switch (ex->parts->zone) {
    case FS_ZONE_PACKETS:
        take_packets(ex);
        break;
    case FS_ZONE_WHOLE:
        take_whole(ex);
        break;
    case FS_ZONE_SDU:
        take_portion(ex);
        break;
    default:
        fs_slot_drop(ex->slot, ex->n);
        give(ex, ex->parts->kind, ex->parts->data, ex->parts->ndata);
    }
}
