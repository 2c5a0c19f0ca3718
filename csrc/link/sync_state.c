/* The synchroniser: where the next unit begins, and what became of each bit before it.
 *
 * The cursor stands at the first bit that is not accounted for. `distance` tells how far ahead the
 * next marker is expected. Behind a unit that is `slip` bits, because a marker that comes early
 * begins inside the last unit; inside a unit that was judged bad it is more, and up to there any
 * marker with as few wrong bits as in SEARCH is taken; in SEARCH it is unknown. A decision is taken
 * only when all the bits that it looks at are there, so the cuts of the input do not matter. */
#include "flatsat.h"
#include "sync_kernels.h"

static const uint64_t ANYWHERE = ~(uint64_t)0;

enum { WAIT = 0, FOUND = 1, MISSING = 2 };

typedef struct {
    uint64_t at; /* first bit of the marker */
    int64_t slip;
    uint32_t wrong, inverted;
} candidate;

int64_t fs_sync_reset(fs_sync *s, const fs_sync_settings *is)
{
    uint32_t step = is->step;
    if (is->marker_nbits < 8 || is->marker_nbits > 64 || (step != 1 && step != 8))
        return FS_E_RANGE;
    if (2 * is->lock_wrong >= is->marker_nbits || is->search_wrong > is->lock_wrong)
        return FS_E_RANGE;
    if (!is->unit_nbits || is->slip > is->unit_nbits ||
        (is->marker_nbits | is->unit_nbits | is->slip) & (step - 1))
        return FS_E_RANGE;
    *s = (fs_sync){.is = *is, .state = FS_SYNC_SEARCH, .distance = ANYWHERE};
    return 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Account for n bits at the cursor that hold no marker. */
static void pass_over(fs_sync *s, uint64_t n)
{
    uint64_t owed = least(n, s->owed), excused = least(n - owed, s->excused);
    s->owed -= owed;
    s->unit_bits += owed;
    s->excused -= excused;
    s->bad_bits += excused;
    s->skipped_bits += n - owed - excused;
    if (s->distance != ANYWHERE)
        s->distance -= n;
}

/* Wrong bits of a marker at a place, in the polarity that has fewer of them. */
static candidate marker_at(const fs_sync *s, const uint8_t *in, uint64_t nbits, uint64_t at)
{
    uint32_t n = s->is.marker_nbits;
    uint64_t window = fs_bits_at(in, (size_t)((nbits + 7) / 8), at);
    uint32_t wrong = fs_count_ones((window ^ s->is.marker << (64 - n)) >> (64 - n));
    candidate c = {.at = at, .wrong = wrong};
    if (s->is.inverted && n - wrong < wrong) {
        c.wrong = n - wrong;
        c.inverted = 1;
    }
    return c;
}

/* Look for the marker at its expected place and around it: the one with fewest wrong bits, and of
 * those the nearest. */
static int look_around(const fs_sync *s, const uint8_t *in, uint64_t nbits, uint64_t at,
                       candidate *best)
{
    uint64_t slip = s->is.slip, centre = at + slip;
    uint32_t limit = s->state == FS_SYNC_CHECK ? s->is.search_wrong : s->is.lock_wrong;
    if (nbits < centre + s->is.marker_nbits)
        return WAIT;
    *best = marker_at(s, in, nbits, centre);
    if (best->wrong && slip) {
        if (nbits < centre + slip + s->is.marker_nbits)
            return WAIT;
        candidate expected = *best;
        for (uint64_t d = s->is.step; d <= slip; d += s->is.step) {
            candidate early = marker_at(s, in, nbits, centre - d);
            candidate late = marker_at(s, in, nbits, centre + d);
            if (early.wrong < best->wrong)
                *best = early;
            if (late.wrong < best->wrong)
                *best = late;
        }
        if (best->wrong > limit)
            *best = expected;
    }
    best->slip = (int64_t)(best->at - centre);
    return best->wrong <= limit ? FOUND : MISSING;
}

/* Look for the first marker between the cursor and the expected place, or to the end of the input.
 * The cursor moves there, or to where one may yet stand. */
static int look_ahead(fs_sync *s, const uint8_t *in, uint64_t nbits, uint64_t *at)
{
    uint64_t end = nbits, from = *at;
    if (s->distance != ANYWHERE)
        end = least(nbits, from + s->distance - s->is.slip + s->is.marker_nbits - 1);
    fs_marker_hit hit;
    int64_t found = fs_marker_search(in, (size_t)((nbits + 7) / 8), from, end, s->is.marker,
                                     s->is.marker_nbits, s->is.search_wrong, s->is.step,
                                     s->is.inverted, &hit, 1, at);
    if (found) {
        *at = hit.bit;
        s->holds = 1u + hit.inverted;
        s->holds_wrong = hit.wrong;
    }
    pass_over(s, *at - from);
    return found || *at > from;
}

/* A marker stands where it was expected, or where none was. */
static void advance(fs_sync *s, int expected)
{
    if (s->state == FS_SYNC_CHECK)
        s->verified = expected ? s->verified + 1 : 0;
    else if (s->state == FS_SYNC_SEARCH)
        s->verified = 0;
    s->missed = 0;
    if (s->state == FS_SYNC_SEARCH || s->state == FS_SYNC_CHECK) {
        s->state = s->verified >= s->is.verify ? FS_SYNC_LOCK : FS_SYNC_CHECK;
        s->locks += s->state == FS_SYNC_LOCK;
    } else {
        s->state = FS_SYNC_LOCK;
    }
}

/* Cut the unit behind the marker at c->at, where the cursor is. */
static int64_t cut(fs_sync *s, const candidate *c, int missed, uint64_t *at, fs_unit *unit)
{
    uint64_t m = s->is.marker_nbits, n = s->is.unit_nbits, slip = s->is.slip;
    *unit = (fs_unit){.bit = c->at + m, .inverted = (uint8_t)c->inverted,
                      .wrong = (uint8_t)c->wrong, .missed = (uint8_t)missed,
                      .state = (uint8_t)s->state, .slip = (int32_t)c->slip};
    s->turns += s->units && c->inverted != s->turned;
    s->turned = c->inverted;
    s->units++;
    s->inverted_units += c->inverted;
    s->flywheel_units += (uint64_t)missed;
    s->wrong_marker_bits += missed ? 0 : c->wrong;
    s->slips += c->slip != 0;
    s->marker_bits += m;
    s->unit_bits += n - slip;
    s->owed = s->distance = slip;
    s->excused = 0;
    s->holds = 0;
    s->open = 1;
    *at = c->at + m + n - slip;
    return 1;
}

/* The expected place holds no marker. Returns 1 if the flywheel cuts a unit there all the same. */
static int64_t miss(fs_sync *s, candidate *c, uint64_t *at, fs_unit *unit)
{
    s->missed_markers++;
    if (s->state >= FS_SYNC_LOCK && s->missed < s->is.misses) {
        s->missed++;
        s->state = FS_SYNC_FLYWHEEL;
        pass_over(s, s->is.slip);
        if (c->inverted != s->turned) {
            c->inverted = s->turned;
            c->wrong = s->is.marker_nbits - c->wrong;
        }
        return cut(s, c, 1, at, unit);
    }
    s->checks_failed += s->state == FS_SYNC_CHECK;
    s->locks_lost += s->state >= FS_SYNC_LOCK;
    s->state = FS_SYNC_SEARCH;
    s->distance = ANYWHERE;
    return 0;
}

/* The usual case, for speed alone: in lock the marker stands where it is expected, as it was. */
static int stands(const fs_sync *s, const uint8_t *in, uint64_t nbits, uint64_t at, uint64_t whole)
{
    uint64_t slip = s->is.slip, turned = s->turned ? ~(uint64_t)0 : 0;
    if (s->state != FS_SYNC_LOCK || s->distance != slip || s->holds || nbits - at < slip + whole)
        return 0;
    uint64_t window = fs_bits_at(in, (size_t)((nbits + 7) / 8), at + slip);
    return !((window ^ turned) >> (64 - s->is.marker_nbits) ^
             (s->is.marker & ~(uint64_t)0 >> (64 - s->is.marker_nbits)));
}

int64_t fs_sync_next(fs_sync *s, const uint8_t *in, uint64_t nbits, uint64_t *at_bit,
                     fs_unit *unit)
{
    uint64_t whole = (uint64_t)s->is.marker_nbits + s->is.unit_nbits, at = *at_bit;
    int64_t got = 0;
    s->open = 0;
    while (at < nbits && !got) {
        if (stands(s, in, nbits, at, whole)) {
            candidate c = {.at = at + s->is.slip, .inverted = s->turned};
            pass_over(s, s->is.slip);
            s->missed = 0;
            got = cut(s, &c, 0, &at, unit);
            continue;
        }
        if (s->holds) {
            if (nbits - at < whole)
                break;
            candidate c = {.at = at, .wrong = s->holds_wrong, .inverted = s->holds - 1};
            if (s->distance != ANYWHERE)
                c.slip = -(int64_t)s->distance;
            advance(s, 0);
            got = cut(s, &c, 0, &at, unit);
            continue;
        }
        if (s->distance == ANYWHERE || s->distance > s->is.slip) {
            if (!look_ahead(s, in, nbits, &at))
                break;
            continue;
        }
        candidate c;
        int what = look_around(s, in, nbits, at, &c);
        if (what == WAIT || nbits < c.at + whole)
            break;
        if (what == MISSING) {
            got = miss(s, &c, &at, unit);
            continue;
        }
        pass_over(s, c.at - at);
        advance(s, 1);
        got = cut(s, &c, 0, &at, unit);
    }
    *at_bit = at;
    return got;
}

void fs_sync_judge(fs_sync *s, int32_t good, uint64_t *at_bit)
{
    uint64_t m = s->is.marker_nbits, n = s->is.unit_nbits, slip = s->is.slip, step = s->is.step;
    if (!s->open)
        return;
    s->open = 0;
    if (good) {
        s->locks += s->state < FS_SYNC_LOCK;
        s->state = FS_SYNC_LOCK;
        s->missed = 0;
        return;
    }
    s->bad_units++;
    s->unit_bits -= n - slip;
    s->marker_bits -= m;
    s->bad_bits += step;
    s->owed = 0;
    s->excused = s->distance = m + n - step;
    *at_bit -= m + n - slip - step;
}

int64_t fs_sync_units(fs_sync *s, const uint8_t *in, uint64_t nbits, uint64_t *at_bit,
                      const uint8_t *pn, uint8_t *out, fs_unit *found, size_t capacity)
{
    size_t n = 0, nbytes = s->is.unit_nbits / 8;
    if (s->is.unit_nbits & 7)
        return FS_E_RANGE;
    for (; n < capacity && fs_sync_next(s, in, nbits, at_bit, &found[n]); n++, out += nbytes)
        fs_unit_copy(in, found[n].bit, found[n].inverted, pn, out, nbytes);
    return (int64_t)n;
}
