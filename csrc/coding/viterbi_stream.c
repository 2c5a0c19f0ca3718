/* The stream around the kernels of the Viterbi decoder: puncturing undone, segments cut, decoded
 * side by side, compared with what was received. */
#include "flatsat.h"
#include "viterbi_kernels.h"

#include <string.h>

/* Slack: steps at the end of the pairs that only the last period and its fill may touch. */
enum { FS_PAIR_STEPS = FS_VITERBI_PAIRS / 2, FS_SLACK = 16 };

static const uint8_t DEPTH[FS_CONV_RATES] = {96 / 16, 112 / 16, 128 / 16, 160 / 16, 192 / 16};

static fs_viterbi_forward *const FORWARD[FS_TIERS] =
    FS_KERNELS(fs_viterbi_forward_portable, fs_viterbi_forward_ssse3, fs_viterbi_forward_avx2,
               fs_viterbi_forward_avx512, fs_viterbi_forward_neon, fs_viterbi_forward_neon);
static fs_viterbi_back *const BACK[FS_TIERS] =
    FS_KERNELS(fs_viterbi_back_portable, fs_viterbi_back_portable, fs_viterbi_back_avx2,
               fs_viterbi_back_avx2, fs_viterbi_back_portable, fs_viterbi_back_portable);
static fs_viterbi_compare *const COMPARE[FS_TIERS] =
    FS_KERNELS(fs_viterbi_compare_portable, fs_viterbi_compare_ssse3, fs_viterbi_compare_avx2,
               fs_viterbi_compare_avx512, fs_viterbi_compare_portable, fs_viterbi_compare_portable);

static uint32_t reverse_6(uint32_t x)
{
    x = (x & 0x15) << 1 | (x & 0x2A) >> 1;
    return (x & 0x03) << 4 | (x & 0x0C) | (x & 0x30) >> 4;
}

/* A word whose first bit is lowest as octets whose first bit is highest. */
static void write_bits(uint64_t word, size_t nbits, uint8_t *out)
{
    word = (word & 0x0F0F0F0F0F0F0F0F) << 4 | (word >> 4 & 0x0F0F0F0F0F0F0F0F);
    word = (word & 0x3333333333333333) << 2 | (word >> 2 & 0x3333333333333333);
    word = (word & 0x5555555555555555) << 1 | (word >> 1 & 0x5555555555555555);
    for (size_t i = 0; 8 * i < nbits; i++, word >>= 8)
        out[i] = (uint8_t)word;
}

static void reset(fs_viterbi *v)
{
    v->base = v->next = 0;
    v->period = v->sent = 0;
    memset(v->pairs, FS_ERASED, 2 * fs_puncture_of[v->setup.code.rate].period);
}

int64_t fs_viterbi_begin(fs_viterbi *v, const fs_viterbi_setup *setup)
{
    fs_viterbi_setup s = *setup;
    if (fs_conv_check(&s.code) < 0)
        return FS_E_RANGE;
    s.depth = s.depth ? s.depth : 16 * DEPTH[s.code.rate];
    s.segment = s.segment ? s.segment : FS_VITERBI_SEGMENT;
    if (s.depth % 16 || s.depth > FS_VITERBI_DEPTH || s.segment % 64 ||
        s.segment > FS_VITERBI_SEGMENT || s.start < -1 || s.start >= FS_STATES)
        return FS_E_RANGE;
    v->setup = s;
    v->symbols = v->bits = v->steps_checked = v->known_symbols = v->wrong_symbols = 0;
    reset(v);
    return 0;
}

/* Steps of the stream of which all symbols are there. */
static uint64_t steps_ready(const fs_viterbi *v)
{
    return v->base + v->period + fs_puncture_of[v->setup.code.rate].slot[v->sent] / 2;
}

size_t fs_viterbi_nbytes(const fs_viterbi *v, size_t nsymbols)
{
    const fs_puncture *p = &fs_puncture_of[v->setup.code.rate];
    size_t waiting = (size_t)(steps_ready(v) - v->next) + 1;
    return (waiting + (nsymbols / p->nsent + 1) * p->period + 7) / 8;
}

/* Where the symbols of a period stand in its pairs, in the order in which they come. */
typedef struct {
    uint8_t at[8];
} fs_places;

static fs_places places_of(fs_conv_code code)
{
    const fs_puncture *p = &fs_puncture_of[code.rate];
    fs_places places;
    memcpy(places.at, p->slot, sizeof places.at);
    for (int k = 0; k + 1 < p->nsent; k++)
        if (fs_conv_swaps(code) && p->slot[k] % 2 == 0 && p->slot[k + 1] == p->slot[k] + 1) {
            places.at[k] = p->slot[k + 1];
            places.at[k + 1] = p->slot[k];
        }
    return places;
}

static void load_pairs(fs_conv_code code, const uint8_t *symbols, size_t npairs, uint8_t *pairs)
{
    const int swap = fs_conv_swaps(code), flip = fs_conv_inverts(code) ? 0xFF : 0;
    for (size_t i = 0; i < npairs; i++) {
        uint8_t c1 = symbols[2 * i + swap], c2 = symbols[2 * i + !swap];
        pairs[2 * i] = c1 ? c1 : 1;
        pairs[2 * i + 1] = (uint8_t)(((c2 ? c2 : 1) ^ flip) + (flip & 1));
    }
}

static void load_periods(const fs_puncture *p, const fs_places *places, const uint8_t *symbols,
                         size_t nperiods, uint8_t *pairs)
{
    for (; nperiods; nperiods--, symbols += p->nsent, pairs += 2 * p->period) {
        memset(pairs, FS_ERASED, 16);
        for (int k = 0; k < p->nsent; k++)
            pairs[places->at[k]] = symbols[k] ? symbols[k] : 1;
    }
}

/* Opens the period behind the ones that are filled. */
static void advance(fs_viterbi *v, size_t nperiods)
{
    const size_t period = fs_puncture_of[v->setup.code.rate].period;
    v->period += (uint32_t)(nperiods * period);
    memset(v->pairs + 2 * v->period, FS_ERASED, 2 * period);
}

static void load_one(fs_viterbi *v, const fs_places *places, uint8_t symbol)
{
    uint8_t at = places->at[v->sent];
    symbol = symbol ? symbol : 1;
    v->pairs[2 * v->period + at] =
        at % 2 && fs_conv_inverts(v->setup.code) ? (uint8_t)-symbol : symbol;
    if (++v->sent == fs_puncture_of[v->setup.code.rate].nsent) {
        v->sent = 0;
        advance(v, 1);
    }
}

/* Takes what fits. */
static size_t load(fs_viterbi *v, const uint8_t *symbols, size_t nsymbols)
{
    const fs_conv_code code = v->setup.code;
    const fs_puncture *p = &fs_puncture_of[code.rate];
    const fs_places places = places_of(code);
    size_t taken = 0;
    while (taken < nsymbols && v->period + FS_SLACK < FS_PAIR_STEPS) {
        size_t room = (FS_PAIR_STEPS - FS_SLACK - v->period) / p->period;
        size_t left = (nsymbols - taken) / p->nsent, nperiods = room < left ? room : left;
        uint8_t *to = v->pairs + 2 * v->period;
        if (v->sent || !nperiods) {
            load_one(v, &places, symbols[taken++]);
            continue;
        }
        if (code.rate == FS_CONV_1_2)
            load_pairs(code, symbols + taken, nperiods, to);
        else
            load_periods(p, &places, symbols + taken, nperiods, to);
        advance(v, nperiods);
        taken += nperiods * p->nsent;
    }
    return taken;
}

/* Encodes decided bits again and compares them with the symbols they came from. */
static void check(fs_viterbi *v, const uint8_t *pairs, const uint64_t *words, uint64_t before,
                  size_t nbits)
{
    fs_viterbi_compare *const compare = COMPARE[fs_tier()];
    uint64_t known = 0, wrong = 0;
    for (size_t i = 0; i < nbits; i += 32, pairs += 64) {
        uint64_t word = words[i / 64];
        uint64_t bits = i % 64 ? word >> 26 : word << 6 | (i ? words[i / 64 - 1] >> 58 : before);
        uint8_t rest[64];
        if (nbits - i < 32) {
            memset(rest, FS_ERASED, sizeof rest);
            memcpy(rest, pairs, 2 * (nbits - i));
        }
        uint32_t found = compare(nbits - i < 32 ? rest : pairs, bits);
        known += found >> 8;
        wrong += found & 0xFF;
    }
    v->steps_checked += nbits;
    v->known_symbols += known;
    v->wrong_symbols += wrong;
}

/* The state to trace back from: the given one, else the best. */
static uint64_t last_state(const int16_t metrics[FS_STATES], int32_t end)
{
    uint32_t best = 0;
    for (uint32_t n = 1; n < FS_STATES; n++)
        if (metrics[n] > metrics[best])
            best = n;
    return end >= 0 ? reverse_6((uint32_t)end) : best;
}

/* Lets a path end in state 0 on a word boundary behind the end of the stream: decisions that lead
 * there by the bits of the state at the end and then zeros. Returns the steps there are then. */
static size_t extend(uint64_t *decisions, size_t nsteps, size_t wanted, uint64_t state)
{
    for (size_t t = nsteps; t < wanted; t++, state >>= 1)
        decisions[t] = state & 1 ? UINT64_MAX : 0;
    return wanted;
}

/* Decodes nlanes segments from v->next on, of which nbits bits each count, out of nsteps steps
 * from `depth` before it, or from the beginning. Returns octets written. */
static size_t decode(fs_viterbi *v, uint32_t nlanes, size_t nsteps, size_t nbits, int32_t end,
                     uint8_t *out)
{
    const uint32_t segment = v->setup.segment;
    const size_t first = v->next < v->setup.depth ? (size_t)v->next : v->setup.depth;
    const size_t nwords = (nbits + 63) / 64, wanted = first + 64 * nwords + 6;
    const uint8_t *pairs = v->pairs + 2 * (v->next - first - v->base);
    fs_lanes lanes = {.metrics = {{0}}};
    for (uint32_t lane = 0; lane < nlanes; lane++) {
        lanes.pairs[lane] = pairs + 2 * (size_t)segment * lane;
        lanes.decisions[lane] = v->decisions[lane];
    }
    if (v->setup.start >= 0 && v->next == first)
        for (uint32_t n = 0; n < FS_STATES; n++)
            lanes.metrics[0][n] = n == reverse_6((uint32_t)v->setup.start) ? 0 : FS_IMPOSSIBLE;
    FORWARD[fs_tier()](&lanes, nlanes, nsteps);
    fs_traces traces;
    for (uint32_t lane = 0; lane < FS_VITERBI_LANES; lane++) {
        uint32_t from = lane < nlanes ? lane : 0;
        traces.decisions[lane] = v->decisions[from];
        traces.paths[lane] = last_state(lanes.metrics[from], end);
    }
    if (nsteps < wanted) {
        nsteps = extend(v->decisions[0], nsteps, wanted, traces.paths[0]);
        memset(traces.paths, 0, sizeof traces.paths);
    }
    BACK[fs_tier()](&traces, nsteps, first, nwords);
    size_t written = 0;
    for (uint32_t lane = 0; lane < nlanes; lane++) {
        const uint64_t *words = traces.words[lane];
        check(v, lanes.pairs[lane] + 2 * first, words, traces.paths[lane], nbits);
        for (size_t i = 0; i < nbits; i += 64)
            write_bits(words[i / 64], nbits - i < 64 ? nbits - i : 64, out + written + i / 8);
        written += (nbits + 7) / 8;
    }
    v->next += (uint64_t)nlanes * nbits;
    v->bits += (uint64_t)nlanes * nbits;
    return written;
}

/* Decodes the segments that are complete and moves what is still wanted to the front. */
static size_t decode_ready(fs_viterbi *v, uint8_t *out)
{
    const size_t depth = v->setup.depth, segment = v->setup.segment;
    const uint64_t ready = steps_ready(v);
    size_t written = 0;
    while (ready - v->next >= segment + depth) {
        size_t before = v->next < depth ? (size_t)v->next : depth;
        size_t nlanes = before < depth ? 1 : (size_t)(ready - v->next - depth) / segment;
        nlanes = nlanes < FS_VITERBI_LANES ? nlanes : FS_VITERBI_LANES;
        written += decode(v, (uint32_t)nlanes, before + segment + depth, segment, -1,
                          out + written);
    }
    uint64_t base = v->next < depth ? 0 : v->next - depth;
    if (base > v->base) {
        uint32_t gone = (uint32_t)(base - v->base);
        uint32_t steps = v->period + fs_puncture_of[v->setup.code.rate].period - gone;
        memmove(v->pairs, v->pairs + 2 * gone, 2 * steps);
        v->base = base;
        v->period -= gone;
    }
    return written;
}

/* All of the symbols; out has the room. Room is asked for once a call: that for the parts of an
 * input may come to an octet more than that for the whole. */
static size_t take(fs_viterbi *v, const uint8_t *symbols, size_t nsymbols, uint8_t *out)
{
    size_t written = 0;
    for (size_t taken = 0; taken < nsymbols;) {
        taken += load(v, symbols + taken, nsymbols - taken);
        written += decode_ready(v, out + written);
    }
    v->symbols += nsymbols;
    return written;
}

int64_t fs_viterbi_feed(fs_viterbi *v, const uint8_t *symbols, size_t nsymbols, uint8_t *out,
                        size_t capacity)
{
    if (capacity < fs_viterbi_nbytes(v, nsymbols))
        return FS_E_CAPACITY;
    return (int64_t)take(v, symbols, nsymbols, out);
}

int64_t fs_viterbi_feed_hard(fs_viterbi *v, const uint8_t *bits, size_t nsymbols, uint8_t *out,
                             size_t capacity)
{
    if (capacity < fs_viterbi_nbytes(v, nsymbols))
        return FS_E_CAPACITY;
    uint8_t symbols[512];
    size_t written = 0;
    for (size_t at = 0; at < nsymbols;) {
        size_t n = nsymbols - at < sizeof symbols ? nsymbols - at : sizeof symbols;
        for (size_t i = 0; i < n; i++)
            symbols[i] = bits[(at + i) / 8] >> (7 - (at + i) % 8) & 1 ? 255 : 0;
        written += take(v, symbols, n, out + written);
        at += n;
    }
    return (int64_t)written;
}

int64_t fs_viterbi_flush(fs_viterbi *v, int32_t end, uint8_t *out, size_t capacity)
{
    if (end < -1 || end >= FS_STATES)
        return FS_E_RANGE;
    if (capacity < fs_viterbi_nbytes(v, 0))
        return FS_E_CAPACITY;
    const fs_puncture *p = &fs_puncture_of[v->setup.code.rate];
    const uint32_t depth = v->setup.depth, segment = v->setup.segment;
    int half = v->sent && p->slot[v->sent] / 2 == p->slot[v->sent - 1] / 2;
    const uint64_t stop = steps_ready(v) + (uint64_t)half;
    size_t written = 0;
    while (v->next < stop) {
        uint64_t start = v->next < depth ? 0 : v->next - depth, left = stop - v->next;
        int last = left <= segment + depth;
        size_t nsteps = (size_t)((last ? stop : v->next + segment + depth) - start);
        size_t nbits = left < segment ? (size_t)left : segment;
        written += decode(v, 1, nsteps, nbits, last ? end : -1, out + written);
    }
    reset(v);
    return (int64_t)written;
}
