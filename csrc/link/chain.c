/* From octets off the air to packets: what stands between the parts. */
#include "flatsat.h"

#include <string.h>

size_t fs_chain_unit_nbytes(const fs_chain_settings *settings, size_t frame_nbytes)
{
    return settings->rs.e ? fs_rs_block_nbytes(&settings->rs) : frame_nbytes;
}

/* A unit and a sequence, each at the begin of a cache line: vectors that cross one cost double. */
enum { LINE_NBYTES = 64 };

static size_t whole_lines(size_t nbytes)
{
    return (nbytes + LINE_NBYTES - 1) / LINE_NBYTES * LINE_NBYTES;
}

size_t fs_chain_work_nbytes(const fs_chain_settings *settings, size_t frame_nbytes)
{
    return LINE_NBYTES + 2 * whole_lines(fs_chain_unit_nbytes(settings, frame_nbytes));
}

int64_t fs_chain_reset(fs_chain *c, const fs_chain_settings *settings, fs_frame_receiver *frames,
                       uint8_t *work, size_t nwork)
{
    const fs_rs_code *code = &settings->rs;
    size_t frame = frames->settings.nbytes, unit;
    if (code->e && (fs_rs_check(code) < 0 || fs_rs_data_nbytes(code) != frame))
        return FS_E_RANGE;
    unit = fs_chain_unit_nbytes(settings, frame);
    if (nwork < fs_chain_work_nbytes(settings, frame))
        return FS_E_CAPACITY;
    work += (size_t)-(uintptr_t)work % LINE_NBYTES;
    memset(c, 0, sizeof *c);
    c->is = *settings;
    c->is.sync.unit_nbits = (uint32_t)(8 * unit);
    if (fs_sync_reset(&c->sync, &c->is.sync) < 0)
        return FS_E_RANGE;
    if (settings->randomiser >= 0) {
        c->pn = work + whole_lines(unit);
        if (fs_pn_fill(settings->randomiser, c->pn, unit) < 0)
            return FS_E_RANGE;
    }
    c->frames = frames;
    c->unit = work;
    c->unit_nbytes = (uint32_t)unit;
    c->frame_nbytes = (uint32_t)frame;
    c->rows_room = (uint32_t)fs_frame_rows_room(frames);
    c->octets_room = (uint32_t)fs_frame_octets_room(frames);
    return 0;
}

static int has_room(const fs_chain *c, const fs_frame_sink *to)
{
    return to->nrows - to->rows_used >= c->rows_room &&
           to->noctets - to->octets_used >= c->octets_room &&
           (!to->infos || to->infos_used < to->ninfos);
}

/* Correct the unit. Returns 0 if a codeword failed. */
static int correct(fs_chain *c)
{
    int16_t wrong[8];
    int64_t sum = fs_rs_decode(&c->is.rs, c->unit, c->unit_nbytes, wrong);
    c->parity_octets += c->unit_nbytes - c->frame_nbytes;
    if (sum == 0)
        return 1;
    for (int i = 0; i < c->is.rs.interleave; i++) {
        c->corrected_octets += wrong[i] > 0 ? (uint64_t)wrong[i] : 0;
        c->corrected_codewords += wrong[i] > 0;
        c->failed_codewords += wrong[i] < 0;
        c->fill_codewords += wrong[i] == FS_RS_IN_FILL;
    }
    if (sum > 0)
        return 1;
    c->failed_units++;
    c->failed_octets += c->frame_nbytes;
    return 0;
}

static void take_unit(fs_chain *c, const uint8_t *in, const fs_unit *unit, uint64_t *at,
                      fs_frame_sink *to)
{
    const fs_frame_settings *set = &c->frames->settings;
    int checked = c->is.rs.e || set->fecf, good = 1;
    fs_unit_copy(in, unit->bit, unit->inverted, c->pn, c->unit, c->unit_nbytes);
    if (c->is.rs.e)
        good = correct(c);
    if (good) {
        int64_t verdict = fs_frame_take(c->frames, c->unit, c->frame_nbytes, to);
        good = verdict != FS_FRAME_BAD_FECF && verdict != FS_FRAME_BAD_FHEC;
    }
    if (checked || !good)
        fs_sync_judge(&c->sync, good, at);
}

int64_t fs_chain_feed(fs_chain *c, const uint8_t *in, size_t nbytes, uint64_t *consumed,
                      fs_frame_sink *to)
{
    uint64_t at = c->at;
    fs_unit unit;
    *consumed = 0;
    if (!has_room(c, to))
        return FS_E_CAPACITY;
    while (has_room(c, to) && fs_sync_next(&c->sync, in, 8 * (uint64_t)nbytes, &at, &unit))
        take_unit(c, in, &unit, &at, to);
    *consumed = at >> 3;
    c->at = at & 7;
    return (int64_t)to->rows_used;
}
