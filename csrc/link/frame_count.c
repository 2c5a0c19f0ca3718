/* Counts of frames: what is missing, what came again, what began anew, of the master channel (TM) and
 * of each virtual channel. */
#include "frame_kernels.h"

#include <string.h>

void fs_slots_interrupt(fs_frame_receiver *rx, int vcid, uint8_t since, uint64_t lost)
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
    fs_slots_interrupt(rx, -1, FS_SINCE_RESTART, 0);
    rx->restarts_seen++;
    rx->mc_count = 0xFF;
    for (int i = 0; i < FS_FRAME_CHANNELS; i++) {
        rx->vc[i].count[0] = 0xFF;
        rx->vc[i].counted[0] = 8;
    }
    return 1;
}

/* Whether this is the frame before of its channel once more: the same count, the same first and last
 * octets, among which are header and frame check. With a count of 8 bits the same count could also
 * mean that 255 frames are missing, but then the octets differ. */
static int repeats(fs_frame_receiver *rx, const fs_frame_parts *parts, const uint8_t *frame,
                   size_t nbytes)
{
    fs_frame_channel *vc = &rx->vc[parts->vcid];
    uint64_t *before = vc->ends[parts->lane], ends[2] = {0, 0};
    size_t n = nbytes < sizeof *ends ? nbytes : sizeof *ends;
    memcpy(&ends[0], frame, n);
    memcpy(&ends[1], frame + nbytes - n, n);
    int same = vc->counted[parts->lane] && parts->count == vc->count[parts->lane] &&
               ends[0] == before[0] && ends[1] == before[1];
    memcpy(before, ends, sizeof ends);
    return same;
}

/* How many frames are missing between the last count and this one. Where their widths differ, the
 * bits that both have tell. */
static uint64_t missing(const fs_frame_channel *vc, const fs_frame_parts *parts, uint8_t width)
{
    uint8_t before = vc->counted[parts->lane], both = before < width ? before : width;
    return (parts->count - vc->count[parts->lane] - 1) & (((uint64_t)1 << both) - 1);
}

/* Counts of TM are short: whatever lies between is lost. In counts of 16 bits and more a step back
 * is told from a loss, and a jump to 0 is a restart of that channel. Counts of one octet in USLP
 * begin anew too often by themselves for that. */
static uint32_t count_channel(fs_frame_receiver *rx, fs_frame_parts *parts)
{
    fs_frame_channel *vc = &rx->vc[parts->vcid];
    uint8_t width = (uint8_t)(64 - __builtin_clzll(parts->mask));
    uint64_t lost = missing(vc, parts, width);
    vc->count[parts->lane] = parts->count;
    vc->counted[parts->lane] = width;
    if (!lost)
        return 0;
    if (width >= 16 && !parts->count) {
        parts->flags |= FS_FRAME_RESTART;
        vc->counters.restarts_seen++;
        fs_slots_interrupt(rx, parts->vcid, FS_SINCE_RESTART, 0);
        return 0;
    }
    if (width >= 16 && lost > parts->mask / 2) {
        parts->flags |= FS_FRAME_BACK;
        vc->counters.back_frames++;
        lost = 0;
    }
    vc->counters.vc_gaps += lost != 0;
    vc->counters.vc_lost_frames += lost;
    fs_slots_interrupt(rx, parts->vcid, FS_SINCE_FRAMES, lost);
    return (uint32_t)(lost < UINT32_MAX ? lost : UINT32_MAX);
}

/* The master channel of TM; its counts have 8 bits. */
static void count_master(fs_frame_receiver *rx, fs_frame_parts *parts)
{
    if (restarts_master(rx, parts))
        parts->flags |= FS_FRAME_RESTART;
    uint32_t lost = rx->mc_count < 0 ? 0 : (uint8_t)(parts->mc_count - rx->mc_count - 1);
    rx->mc_count = parts->mc_count;
    rx->mc_gaps += lost != 0;
    rx->mc_lost_frames += lost;
}

static void count_flags(fs_frame_receiver *rx, const fs_frame_parts *parts)
{
    fs_frame_counters *n = &rx->vc[parts->vcid].counters;
    uint32_t flags = parts->flags;
    n->frames++;
    n->replayed_frames += (flags & FS_FRAME_REPLAY) != 0;
    n->unpacketised_frames += (flags & FS_FRAME_UNPACKETISED) != 0;
    n->truncated_frames += (flags & FS_FRAME_TRUNCATED) != 0;
    n->control_frames += (flags & FS_FRAME_CONTROL) != 0;
    rx->corrected_headers += (flags & FS_FRAME_CORRECTED) != 0;
    n->repeated_frames += (flags & FS_FRAME_REPEATED) != 0;
    if (!(flags & FS_FRAME_TRUNCATED)) /* those never have a control field */
        n->ocf_mismatches += !(flags & FS_FRAME_HAS_OCF) != !rx->settings.ocf;
    if (flags & FS_FRAME_HAS_OCF) {
        rx->ocf_word = parts->ocf;
        rx->ocfs++;
        n->ocfs++;
    }
}

uint32_t fs_count_frame(fs_frame_receiver *rx, fs_frame_parts *parts, const uint8_t *frame,
                        size_t nbytes)
{
    uint32_t lost = 0;
    if (parts->mask && repeats(rx, parts, frame, nbytes)) {
        parts->flags |= FS_FRAME_REPEATED;
    } else if (parts->mask) { /* a frame without a count leaves that of the others as it is */
        if (rx->settings.kind == FS_FRAME_TM)
            count_master(rx, parts);
        lost = count_channel(rx, parts);
    }
    count_flags(rx, parts);
    return lost;
}
