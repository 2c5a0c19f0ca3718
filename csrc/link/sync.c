/* Marker search: the shift register that defines it, words of 64 bits, and octet by octet.
 *
 * A search runs the kernel of the tier, which stops before the end of the buffer because it loads
 * whole vectors, then the words, then the shift register for the last few octets. */
#include "flatsat.h"
#include "sync_kernels.h"

#define SLICE(name) word_##name
#define SLICE_TARGET
#define SLICE_LINKAGE static
#define SLICE_LOAD load_word
#define slice_word uint64_t
#define SLICE_SHIFT(a, b, r) ((a) << (r) | (b) >> (64 - (r)))
#define SLICE_XOR3(a, b, c) ((a) ^ (b) ^ (c))
#define SLICE_MAJ(a, b, c) ((((a) ^ (b)) & ((a) ^ (c))) ^ (a))
#define SLICE_EQUAL(a, b, c) (~(((a) ^ (b)) | ((a) ^ (c))))
#define SLICE_ANY(a) ((a) != 0)

static inline uint64_t load_word(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, 8);
    return __builtin_bswap64(word);
}

#include "sync_slice.h"

/* One bit at a time into a register: the definition of the search. */
static void scan_plain(fs_marker_scan *s)
{
    uint64_t mask = ~(uint64_t)0 >> (64 - s->nbits), marker = s->marker >> (64 - s->nbits);
    uint64_t window = fs_bits_at(s->buf, s->nbytes, s->at) >> (64 - s->nbits) >> 1;
    for (uint64_t place = s->at; place < s->end; place++) {
        uint64_t last = place + s->nbits - 1;
        window = (window << 1 | (s->buf[last >> 3] >> (7 - (last & 7)) & 1)) & mask;
        if (s->step == 8 && (place & 7))
            continue;
        uint32_t wrong = fs_count_ones(window ^ marker), turned = 0;
        if (s->inverted && wrong > s->max_wrong && s->nbits - wrong <= s->max_wrong) {
            wrong = s->nbits - wrong;
            turned = 1;
        }
        if (wrong > s->max_wrong)
            continue;
        s->hits[s->count++] =
            (fs_marker_hit){.bit = place, .wrong = (uint8_t)wrong, .inverted = (uint8_t)turned};
        if (s->count == s->capacity) {
            s->at = place + 1;
            return;
        }
    }
    s->at = s->end > s->at ? s->end : s->at;
}

/* Markers without wrong bits at octets: where the first octet is, the whole is tried. */
static void octets_upright(fs_marker_scan *s)
{
    uint64_t first = (s->at + 7) >> 3, end = (s->end + 7) >> 3;
    while (first < end) {
        const uint8_t *hit =
            memchr(s->buf + first, (int)(s->marker >> 56), (size_t)(end - first));
        if (!hit)
            break;
        first = (uint64_t)(hit - s->buf) + 1;
        if (!fs_marker_try(s, 8 * first - 8))
            return;
    }
    s->at = s->end > s->at ? s->end : s->at;
}

enum { WORDS = 8, EIGHT_WORDS = 8 * WORDS };

/* Whether one of eight words has an octet that is zero, where a is what `at` holds exclusive-or x
 * and b the same `gap` octets further on with y: x and y hold an octet eight times each. */
static inline uint64_t pairs(const uint8_t *at, size_t gap, uint64_t x, uint64_t y)
{
    uint64_t found = 0;
    for (int i = 0; i < WORDS; i++) {
        uint64_t a, b;
        memcpy(&a, at + 8 * i, 8);
        memcpy(&b, at + 8 * i + gap, 8);
        uint64_t up = (a ^ x) | (b ^ y), down = (a ^ ~x) | (b ^ ~y);
        found |= ((up - 0x0101010101010101u) & ~up) | ((down - 0x0101010101010101u) & ~down);
    }
    return found & 0x8080808080808080u;
}

/* The same for both signs: where first and last octet of either stand, the whole is tried. */
static void octets_both(fs_marker_scan *s)
{
    size_t gap = s->nbits / 8 - 1, i = (size_t)((s->at + 7) >> 3);
    uint64_t first = (s->marker >> 56) * 0x0101010101010101u;
    uint64_t last = (s->marker >> (56 - 8 * gap) & 0xFF) * 0x0101010101010101u;
    for (; 8 * (uint64_t)i < s->end && i + gap + EIGHT_WORDS <= s->nbytes; i += EIGHT_WORDS) {
        if (__builtin_expect(!pairs(s->buf + i, gap, first, last), 1))
            continue;
        for (uint64_t bit = 8 * (uint64_t)i; bit < 8 * (uint64_t)(i + EIGHT_WORDS); bit += 8)
            if (bit < s->end && !fs_marker_try(s, bit))
                return;
    }
    if (8 * (uint64_t)i > s->at)
        s->at = 8 * (uint64_t)i;
}

static void octets_word(fs_marker_scan *s)
{
    (s->inverted ? octets_both : octets_upright)(s);
}

/* The first place that was not looked at: kernels pass the end of the search by a part of a vector. */
static uint64_t searched_to(const fs_marker_scan *s, uint64_t first_bit)
{
    uint64_t at = s->at > s->end ? s->end : s->at;
    if (s->step == 8)
        at = (at + 7) & ~(uint64_t)7;
    return at > first_bit ? at : first_bit;
}

static fs_marker_scan_fn *const SLICES[FS_TIERS] =
    FS_KERNELS(word_run, fs_marker_128_run, fs_marker_256_run, fs_marker_512_run,
               fs_marker_neon_run, fs_marker_neon_run);

static fs_marker_scan_fn *const OCTETS[FS_TIERS] =
    FS_KERNELS(octets_word, octets_word, fs_marker_octets_avx2, fs_marker_octets_avx512,
               fs_marker_octets_neon, fs_marker_octets_neon);

/* Fill a scan; 0 or FS_E_RANGE. */
static int begin(fs_marker_scan *s, uint64_t end_bit, uint64_t marker)
{
    if (s->nbits < 8 || s->nbits > 64 || s->max_wrong > (s->nbits - 1) / 2 ||
        (s->step != 1 && s->step != 8) || end_bit > 8 * (uint64_t)s->nbytes)
        return FS_E_RANGE;
    s->marker = marker << (64 - s->nbits);
    s->end = end_bit < s->nbits ? 0 : end_bit - s->nbits + 1;
    return 0;
}

int64_t fs_marker_search(const uint8_t *buf, size_t nbytes, uint64_t first_bit, uint64_t end_bit,
                         uint64_t marker, uint32_t nbits, uint32_t max_wrong, uint32_t step,
                         uint32_t inverted_too, fs_marker_hit *hits, size_t capacity,
                         uint64_t *searched)
{
    fs_marker_scan s = {.buf = buf, .nbytes = nbytes, .at = first_bit, .nbits = nbits,
                        .max_wrong = max_wrong, .step = step, .inverted = inverted_too,
                        .hits = hits, .capacity = capacity};
    if (begin(&s, end_bit, marker) < 0)
        return FS_E_RANGE;
    fs_marker_scan_fn *fast =
        (step == 8 && !max_wrong ? OCTETS : SLICES)[fs_tier()];
    fs_marker_scan_fn *const stages[] = {fast, word_run, scan_plain};
    for (int i = 0; i < 3 && s.at < s.end && s.count < capacity; i++)
        stages[i](&s);
    *searched = searched_to(&s, first_bit);
    return (int64_t)s.count;
}

int64_t fs_marker_search_plain(const uint8_t *buf, size_t nbytes, uint64_t first_bit,
                               uint64_t end_bit, uint64_t marker, uint32_t nbits,
                               uint32_t max_wrong, uint32_t step, uint32_t inverted_too,
                               fs_marker_hit *hits, size_t capacity, uint64_t *searched)
{
    fs_marker_scan s = {.buf = buf, .nbytes = nbytes, .at = first_bit, .nbits = nbits,
                        .max_wrong = max_wrong, .step = step, .inverted = inverted_too,
                        .hits = hits, .capacity = capacity};
    if (begin(&s, end_bit, marker) < 0)
        return FS_E_RANGE;
    if (s.at < s.end && capacity)
        scan_plain(&s);
    *searched = searched_to(&s, first_bit);
    return (int64_t)s.count;
}
