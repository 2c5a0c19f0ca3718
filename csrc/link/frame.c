/* The frame layer: settings, checks, and the way of a frame of any kind. Formats stand in frame_tm.c,
 * frame_aos.c and frame_uslp.c, counts and gaps in frame_count.c, units in extract.c. */
#include "frame_kernels.h"

#include <string.h>

enum { SHORTEST = 4 }; /* header of any frame */

/* Octets of a frame that are no data zone, at the least: of header, checks and so on. */
static uint64_t overhead(const fs_frame_settings *set)
{
    uint64_t control = set->ocf ? 4 : 0;
    if (set->kind == FS_FRAME_TM)
        return 6 + control + set->fecf;
    if (set->kind == FS_FRAME_AOS)
        return 6 + (set->fhec ? 2u : 0u) + (uint64_t)set->insert_nbytes + 2 + control + set->fecf;
    return 7 + (uint64_t)set->insert_nbytes + 1 + set->fecf;
}

static int settings_fit(const fs_frame_settings *set)
{
    static const int32_t SCIDS[] = {0x3FF, 0x3FF, 0xFFFF};
    int uslp = set->kind == FS_FRAME_USLP;
    if (set->kind > FS_FRAME_USLP || set->scid < -1 || set->scid > SCIDS[set->kind])
        return 0;
    if (set->nbytes > (set->kind == FS_FRAME_TM ? FS_TM_FRAME_NBYTES : FS_FRAME_NBYTES) ||
        overhead(set) >= set->nbytes)
        return 0;
    if (set->fecf != 0 && set->fecf != 2 && !(uslp && set->fecf == 4))
        return 0;
    if (set->truncated_nbytes &&
        (set->truncated_nbytes < 6u + set->fecf || set->truncated_nbytes > set->nbytes))
        return 0;
    for (int i = 0; i < FS_FRAME_CHANNELS; i++)
        if (set->service[i] > FS_SERVICE_OPAQUE ||
            (set->service[i] == FS_SERVICE_BITSTREAM && set->kind != FS_FRAME_AOS))
            return 0;
    return (uslp || (!set->variable && !set->truncated_nbytes)) &&
           (set->kind == FS_FRAME_AOS || !set->fhec) &&
           (set->kind != FS_FRAME_TM || !set->insert_nbytes);
}

int64_t fs_frame_check(const fs_frame_settings *settings)
{
    return settings_fit(settings) ? 0 : FS_E_RANGE;
}

int64_t fs_frame_reset(fs_frame_receiver *rx, const fs_frame_settings *settings,
                       fs_frame_slot *slots, size_t nslots)
{
    if (!settings_fit(settings))
        return FS_E_RANGE;
    memset(rx, 0, sizeof *rx);
    rx->settings = *settings;
    rx->slots = slots;
    rx->nslots = (uint32_t)(nslots < 1024 ? nslots : 1024);
    rx->mc_count = -1;
    return 0;
}

/* Packets of one octet exist (encapsulation, idle); all others have two and more. */
size_t fs_frame_rows_room(const fs_frame_receiver *rx)
{
    return (rx->settings.keep_idle ? rx->settings.nbytes : rx->settings.nbytes / 2) + 1;
}

size_t fs_frame_octets_room(const fs_frame_receiver *rx)
{
    return (size_t)FS_FRAME_UNIT_NBYTES + rx->settings.nbytes;
}

/* The slot of a channel; the next free one if it has none yet, NULL if all are taken. */
static fs_frame_slot *slot_of(fs_frame_receiver *rx, const fs_frame_parts *parts)
{
    uint16_t *place = &rx->slot_of[parts->vcid * FS_FRAME_MAPS + parts->map];
    if (!*place) {
        if (rx->nused == rx->nslots)
            return NULL;
        fs_frame_slot *slot = &rx->slots[rx->nused++];
        memset(slot, 0, offsetof(fs_frame_slot, octets));
        slot->vcid = parts->vcid;
        slot->map = parts->map;
        slot->since = FS_SINCE_START;
        *place = (uint16_t)rx->nused;
    }
    return &rx->slots[*place - 1];
}

/* The data zone of a good frame: to its channel's slot, or to the count of why not. */
static void take_zone(fs_frame_receiver *rx, fs_frame_parts *parts, uint64_t number,
                      fs_frame_sink *to)
{
    fs_frame_counters *n = &rx->vc[parts->vcid].counters;
    if (parts->flags & FS_FRAME_REPEATED) {
        n->repeated_octets += parts->ndata;
        return;
    }
    if (parts->zone == FS_ZONE_IDLE) {
        parts->flags |= FS_FRAME_IDLE;
        n->idle_frames++;
        n->idle_octets += parts->ndata;
        return;
    }
    if (parts->zone == FS_ZONE_BROKEN) {
        parts->flags |= FS_FRAME_BROKEN;
        n->broken_frames++;
        n->lost_octets += parts->ndata;
        fs_slots_interrupt(rx, parts->vcid, FS_SINCE_BROKEN, 0);
        return;
    }
    fs_extraction ex = {rx, slot_of(rx, parts), n, parts, number, to};
    if (!ex.slot) {
        parts->flags |= FS_FRAME_NO_SLOT;
        n->no_slot_frames++;
        n->lost_octets += parts->ndata;
        return;
    }
    fs_extract(&ex);
}

static int64_t check(fs_frame_receiver *rx, const uint8_t *frame, size_t nbytes)
{
    uint8_t fecf = rx->settings.fecf;
    int wrong = (fecf == 2 && fs_crc16(frame, nbytes, 0xFFFF)) ||
                (fecf == 4 && fs_crc32_uslp(frame, nbytes, 0));
    return wrong ? FS_FRAME_BAD_FECF : FS_FRAME_TAKEN;
}

static int64_t parse(fs_frame_receiver *rx, const uint8_t *frame, size_t nbytes,
                     fs_frame_parts *parts)
{
    const fs_frame_settings *set = &rx->settings;
    int64_t verdict = check(rx, frame, nbytes);
    if (verdict != FS_FRAME_TAKEN)
        return verdict;
    verdict = set->kind == FS_FRAME_TM    ? fs_tm_parse(set, frame, nbytes, parts)
              : set->kind == FS_FRAME_AOS ? fs_aos_parse(set, frame, nbytes, parts)
                                          : fs_uslp_parse(set, frame, nbytes, parts);
    if (verdict == FS_FRAME_TAKEN && set->scid >= 0 && parts->scid != set->scid)
        return FS_FRAME_FOREIGN;
    return verdict;
}

/* How long the frame at hand is: 0 if it cannot be told, or cannot be. */
static size_t frame_nbytes(const fs_frame_settings *set, const uint8_t *frame, size_t nbytes)
{
    if (set->kind != FS_FRAME_USLP)
        return set->nbytes;
    size_t own = fs_uslp_nbytes(set, frame, nbytes), least = set->fecf;
    int truncated = nbytes >= 4 && frame[3] & 1;
    least += truncated ? 6 : 9;
    if (truncated ? !set->truncated_nbytes : !set->variable && own != set->nbytes)
        return 0;
    return own < least || own > nbytes || own > set->nbytes ? 0 : own;
}

static void count_refused(fs_frame_receiver *rx, int64_t verdict, size_t nbytes)
{
    rx->bad_fecf += verdict == FS_FRAME_BAD_FECF;
    rx->bad_fhec += verdict == FS_FRAME_BAD_FHEC;
    rx->bad_version += verdict == FS_FRAME_BAD_VERSION;
    rx->bad_length += verdict == FS_FRAME_BAD_LENGTH;
    rx->foreign_frames += verdict == FS_FRAME_FOREIGN;
    rx->refused_octets += nbytes;
}

static void put_info(const fs_frame_parts *parts, const uint8_t *frame, uint32_t lost,
                     int64_t verdict, size_t rows_before, fs_frame_sink *to)
{
    to->infos[to->infos_used++] = (fs_frame_info){
        parts->count, lost, parts->ocf, parts->data ? (uint32_t)(parts->data - frame) : 0,
        (uint32_t)parts->ndata, parts->flags, (uint32_t)(to->rows_used - rows_before),
        parts->scid, parts->raw_pointer, parts->vcid, parts->map, parts->mc_count,
        (uint8_t)verdict, parts->rule, parts->protocol};
}

static int of_one_length(const fs_frame_settings *set)
{
    return set->kind != FS_FRAME_USLP || (!set->variable && !set->truncated_nbytes);
}

int64_t fs_frame_take(fs_frame_receiver *rx, const uint8_t *frame, size_t nbytes, fs_frame_sink *to)
{
    const fs_frame_settings *set = &rx->settings;
    if (of_one_length(set) && nbytes != set->nbytes)
        return FS_E_FORMAT;
    if (to->nrows - to->rows_used < fs_frame_rows_room(rx) ||
        to->noctets - to->octets_used < fs_frame_octets_room(rx) ||
        (to->infos && to->infos_used == to->ninfos))
        return FS_E_CAPACITY;
    fs_frame_parts parts;
    memset(&parts, 0, sizeof parts);
    size_t own = frame_nbytes(set, frame, nbytes), rows_before = to->rows_used;
    int64_t verdict = own ? parse(rx, frame, own, &parts) : FS_FRAME_BAD_LENGTH;
    uint64_t number = rx->given++;
    uint32_t lost = 0;
    rx->octets += nbytes;
    if (verdict == FS_FRAME_TAKEN) {
        lost = fs_count_frame(rx, &parts, frame, own);
        rx->vc[parts.vcid].counters.overhead_octets += own - parts.ndata;
        rx->refused_octets += nbytes - own;
        take_zone(rx, &parts, number, to);
    } else {
        count_refused(rx, verdict, nbytes);
    }
    if (to->infos)
        put_info(&parts, frame, lost, verdict, rows_before, to);
    return verdict;
}

int64_t fs_frame_take_batch(fs_frame_receiver *rx, const uint8_t *frames, size_t nbytes,
                            size_t stride, uint64_t *consumed, fs_frame_sink *to)
{
    const fs_frame_settings *set = &rx->settings;
    size_t at = 0;
    int64_t count = 0;
    *consumed = 0;
    if (stride ? stride < set->nbytes : of_one_length(set))
        return FS_E_RANGE;
    while (at < nbytes) {
        size_t own = stride ? set->nbytes : fs_uslp_nbytes(set, frames + at, nbytes - at);
        own = own && own < SHORTEST ? SHORTEST : own;
        if (!own || own > nbytes - at)
            break;
        if (fs_frame_take(rx, frames + at, own, to) < 0)
            break;
        size_t step = stride ? stride : own;
        at = step < nbytes - at ? at + step : nbytes;
        count++;
    }
    *consumed = at;
    return count;
}

void fs_frame_sum(const fs_frame_receiver *rx, fs_frame_counters *sum)
{
    uint64_t *to = (uint64_t *)sum;
    memset(sum, 0, sizeof *sum);
    for (int i = 0; i < FS_FRAME_CHANNELS; i++) {
        const uint64_t *from = (const uint64_t *)&rx->vc[i].counters;
        for (size_t k = 0; k < sizeof *sum / sizeof *to; k++)
            to[k] += from[k];
    }
}

uint64_t fs_frame_pending(const fs_frame_receiver *rx)
{
    uint64_t held = 0;
    for (uint32_t i = 0; i < rx->nused; i++)
        held += rx->slots[i].npending;
    return held;
}
