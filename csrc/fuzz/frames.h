/* What the fuzz targets of the three kinds of frames share. */
#ifndef FLATSAT_FUZZ_FRAMES_H
#define FLATSAT_FUZZ_FRAMES_H

#include "fuzz.h"

/* Every octet given is in one counter. */
static inline void frames_balance(const fs_frame_receiver *rx)
{
    fs_frame_counters sum;
    fs_frame_sum(rx, &sum);
    uint64_t held = fs_frame_pending(rx);
    FS_MUST(rx->octets == rx->refused_octets + sum.overhead_octets + sum.packet_octets +
                              sum.unit_octets + sum.idle_octets + sum.repeated_octets +
                              sum.unaligned_octets + sum.lost_octets + held);
    FS_MUST(rx->given == sum.frames + rx->bad_fecf + rx->bad_fhec + rx->bad_version +
                             rx->bad_length + rx->foreign_frames);
}

/* Rows lie one behind the other in the output and fill it. */
static inline void rows_balance(const fs_frame_receiver *rx, const fs_frame_sink *to)
{
    uint64_t at = 0;
    for (size_t i = 0; i < to->rows_used; i++) {
        FS_MUST(to->rows[i].offset == at && to->rows[i].nbytes <= FS_FRAME_UNIT_NBYTES);
        FS_MUST(to->rows[i].first_frame <= to->rows[i].frame && to->rows[i].frame < rx->given);
        at += to->rows[i].nbytes;
    }
    FS_MUST(at == to->octets_used);
}

enum { SLOTS = 3, INPUT = 4096, ROOM = FS_FRAME_UNIT_NBYTES + 256 + INPUT };

/* Blocks too large for the heap at each input; what is used of them ends where they end. */
static fs_frame_receiver RECEIVER;
static fs_frame_slot SLOT[SLOTS];
static fs_frame_row FEW_ROWS[256], ALL_ROWS[256 + INPUT];
static uint8_t FEW_OCTETS[ROOM], ALL_OCTETS[ROOM];

/* Run frames through a receiver with room for just one of them, then for all; the results of the
 * two must agree, on every tier. Frames may have wrong checks: those of a CRC are made right in
 * half of the frames of one length, so that their contents are reached. */
static inline void fuzz_frames(const fs_frame_settings *set, fuzz_input *in, uint64_t nslots,
                               uint64_t stride)
{
    fs_frame_receiver *rx = &RECEIVER;
    fs_frame_slot *slots = SLOT + SLOTS - nslots;
    if (fs_frame_reset(rx, set, slots, nslots) < 0 || (stride && in->nbytes < set->nbytes) ||
        in->nbytes > INPUT)
        return;
    uint8_t *frames = exact(in->data, in->nbytes);
    for (size_t at = 0; stride && set->fecf && in->nbytes - at >= set->nbytes;) {
        uint8_t *tail = frames + at + set->nbytes - set->fecf;
        uint32_t crc = set->fecf == 2 ? fs_crc16(frames + at, set->nbytes - 2, 0xFFFF)
                                      : fs_crc32_uslp(frames + at, set->nbytes - 4, 0);
        for (int i = set->fecf; i--; crc >>= 8)
            tail[i] = (uint8_t)crc;
        at = 2 * stride < in->nbytes - at ? at + 2 * stride : in->nbytes;
    }
    size_t rows_room = fs_frame_rows_room(rx), octets_room = fs_frame_octets_room(rx);
    fs_frame_sink few = {0}, all = {0};
    few.rows = FEW_ROWS + 256 - rows_room;
    few.octets = FEW_OCTETS + ROOM - octets_room;
    all.rows = ALL_ROWS + 256 + INPUT - rows_room - in->nbytes;
    all.octets = ALL_OCTETS + ROOM - octets_room - in->nbytes;
    uint64_t consumed, at = 0;
    FOR_EACH_TIER(level) {
        fs_frame_reset(rx, set, slots, nslots);
        all.nrows = rows_room + in->nbytes;
        all.noctets = octets_room + in->nbytes;
        all.rows_used = all.octets_used = 0;
        FS_MUST(fs_frame_take_batch(rx, frames, in->nbytes, stride, &consumed, &all) >= 0);
        FS_MUST(consumed <= in->nbytes);
        frames_balance(rx);
        rows_balance(rx, &all);
    }
    fs_frame_counters sum, again;
    fs_frame_sum(rx, &sum);
    fs_tier_force(0);
    fs_frame_reset(rx, set, slots, nslots);
    few.nrows = rows_room;
    few.noctets = octets_room;
    size_t rows_at = 0, octets_at = 0;
    for (uint64_t step = 1; step && at < consumed; at += step) {
        few.rows_used = few.octets_used = 0;
        FS_MUST(fs_frame_take_batch(rx, frames + at, in->nbytes - at, stride, &step, &few) >= 0);
        FS_MUST(few.octets_used <= all.octets_used - octets_at);
        FS_MUST(!memcmp(few.octets, all.octets + octets_at, few.octets_used));
        for (size_t i = 0; i < few.rows_used; i++)
            FS_MUST(few.rows[i].nbytes == all.rows[rows_at + i].nbytes);
        rows_at += few.rows_used;
        octets_at += few.octets_used;
    }
    fs_frame_sum(rx, &again);
    FS_MUST(at == consumed && rows_at == all.rows_used && !memcmp(&sum, &again, sizeof sum));
    free(frames);
}

#endif
