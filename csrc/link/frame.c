/* The frame layer: checks, counts and gaps of all three kinds of frames, and the way of a frame
 * through them. Formats stand in frame_tm.c, frame_aos.c and frame_uslp.c, units in extract.c. */
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

/* Tell all slots of a virtual channel (-1: of all) that what they hold has lost its rest. */
static void interrupt(fs_frame_receiver *rx, int vcid, uint8_t since, uint64_t lost)
{
    for (uint32_t i = 0; i < rx->nused; i++) {
        fs_frame_slot *slot = &rx->slots[i];
        if (vcid >= 0 && slot->vcid != vcid)
            continue;
        fs_slot_drop(slot, &rx->vc[slot->vcid].counters);
        slot->since |= since;
        slot->lost = (uint32_t)(lost < UINT32_MAX - slot->lost ? slot->lost + lost : UINT32_MAX);
    }
}

/* A sender that starts anew begins all counts at 0, and its reports of that come later. A jump to
 * a frame that is the first of master and virtual channel is taken for it: for a true loss to end
 * there is a chance of one in 65,536. Packets begun before are lost, the frames between are not
 * known. If that first frame is itself lost, the jump stays a loss. */
static int restarts_master(fs_frame_receiver *rx, const fs_frame_parts *parts)
{
    fs_frame_channel *vc = &rx->vc[parts->vcid];
    int jumps = (rx->mc_count >= 0 && rx->mc_count != 0xFF) ||
                (vc->counted[0] && vc->count[0] != 0xFF);
    if (parts->mc_count || parts->count || !jumps)
        return 0;
    interrupt(rx, -1, FS_SINCE_RESTART, 0);
    rx->restarts_seen++;
    rx->mc_count = 0xFF;
    for (int i = 0; i < FS_FRAME_CHANNELS; i++) {
        rx->vc[i].count[0] = 0xFF;
        rx->vc[i].counted[0] = 8;
    }
    return 1;
}

/* Counts of TM are short: whatever lies between is lost. In counts of 16 bits and more a step back
 * is told from a loss, and a jump to 0 is a restart of that channel. Counts of one octet in USLP
 * begin anew too often by themselves for that. */
static uint32_t count_channel(fs_frame_receiver *rx, fs_frame_parts *parts)
{
    fs_frame_channel *vc = &rx->vc[parts->vcid];
    uint64_t *last = &vc->count[parts->lane], mask = parts->mask;
    uint8_t width = (uint8_t)(64 - (mask ? __builtin_clzll(mask) : 64));
    uint64_t lost = vc->counted[parts->lane] ? (parts->count - *last - 1) & mask : 0;
    int same = vc->counted[parts->lane] == width || rx->settings.kind == FS_FRAME_TM;
    *last = parts->count;
    vc->counted[parts->lane] = width;
    if (!lost || !same)
        return 0;
    if (width >= 16 && !parts->count) {
        parts->flags |= FS_FRAME_RESTART;
        vc->counters.restarts_seen++;
        interrupt(rx, parts->vcid, FS_SINCE_RESTART, 0);
        return 0;
    }
    if (width >= 16 && lost > mask / 2) {
        parts->flags |= FS_FRAME_BACK;
        vc->counters.back_frames++;
        lost = 0;
    }
    vc->counters.vc_gaps += lost != 0;
    vc->counters.vc_lost_frames += lost;
    interrupt(rx, parts->vcid, FS_SINCE_FRAMES, lost);
    return (uint32_t)(lost < UINT32_MAX ? lost : UINT32_MAX);
}

static uint32_t count_frame(fs_frame_receiver *rx, fs_frame_parts *parts)
{
    if (rx->settings.kind == FS_FRAME_TM) {
        if (restarts_master(rx, parts))
            parts->flags |= FS_FRAME_RESTART;
        uint32_t lost = rx->mc_count < 0 ? 0 : (uint8_t)(parts->mc_count - rx->mc_count - 1);
        rx->mc_count = parts->mc_count;
        rx->mc_gaps += lost != 0;
        rx->mc_lost_frames += lost;
    }
    return count_channel(rx, parts);
}

static void count_flags(fs_frame_receiver *rx, const fs_frame_parts *parts, fs_frame_counters *n)
{
    uint32_t flags = parts->flags;
    n->frames++;
    n->replayed_frames += (flags & FS_FRAME_REPLAY) != 0;
    n->unpacketised_frames += (flags & FS_FRAME_UNPACKETISED) != 0;
    n->truncated_frames += (flags & FS_FRAME_TRUNCATED) != 0;
    n->control_frames += (flags & FS_FRAME_CONTROL) != 0;
    rx->corrected_headers += (flags & FS_FRAME_CORRECTED) != 0;
    n->ocf_mismatches += !(flags & FS_FRAME_HAS_OCF) != !rx->settings.ocf;
    if (flags & FS_FRAME_HAS_OCF) {
        rx->ocf_word = parts->ocf;
        rx->ocfs++;
        n->ocfs++;
    }
}

/* The data zone of a good frame: to its channel's slot, or to the count of why not. */
static void take_zone(fs_frame_receiver *rx, fs_frame_parts *parts, uint64_t number,
                      fs_frame_counters *n, fs_frame_sink *to)
{
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
        interrupt(rx, parts->vcid, FS_SINCE_BROKEN, 0);
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
        fs_frame_counters *n = &rx->vc[parts.vcid].counters;
        lost = count_frame(rx, &parts);
        count_flags(rx, &parts, n);
        n->overhead_octets += own - parts.ndata;
        rx->refused_octets += nbytes - own;
        take_zone(rx, &parts, number, n, to);
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
