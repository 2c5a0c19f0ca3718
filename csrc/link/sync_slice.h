/* A bit-sliced marker search, written once for words of any width.
 *
 * Place p matches where bit p + k of the stream equals bit k of the marker, for all k. Shift the
 * stream by k, exclusive-or it with bit k of the marker, and bit p of the result says whether place
 * p is wrong in bit k: one word looks at as many places as it has bits. Adding those words up, each
 * bit position by itself, counts the wrong bits. Full adders do it: three words of one weight become
 * one of that weight and one of the next, so 31 words become five digits of the count in 26 steps.
 *
 * Of a marker with 31 bits or more the first 31 are counted. Then 0 to 3 wrong bits are the counts
 * whose three upper digits are all 0, and for the complement, 28 to 31, all 1: one comparison. That
 * lets through all hits for up to three wrong bits, and of other places one in 200,000; what is let
 * through is tried exactly. Shorter markers and more wrong bits take the general form: words without
 * a marker bit count as right, and the digits are compared with the two limits.
 *
 * The including file defines
 *     SLICE(name)          names of this instance
 *     SLICE_TARGET         function attributes
 *     SLICE_LINKAGE        static, or nothing
 *     slice_word           a vector of 64-bit lanes, or one such lane
 *     SLICE_LOAD(p)        lanes of 64 bits from octets, first octet most significant
 *     SLICE_SHIFT(a, b, r) a << r | b >> (64 - r) in each lane, r constant in 1..7
 *     SLICE_XOR3(a, b, c)  a ^ b ^ c
 *     SLICE_MAJ(a, b, c)   majority
 *     SLICE_EQUAL(a, b, c) ones where all three are equal
 *     SLICE_ANY(a)         whether any bit is set */

#define SLICE_INLINE SLICE_TARGET static inline __attribute__((always_inline))

enum {
    SLICE(LANES) = sizeof(slice_word) / 8,
    SLICE(TAPS) = 31,
    SLICE(DIGITS) = 5,
};

/* The stream at one block, and what its words are compared with. */
typedef struct {
    slice_word at[5], next[4]; /* shifted by whole octets; the octet behind each, at the top */
    const uint64_t *flip;      /* all ones where the marker's bit is one */
    const uint64_t *keep;      /* all ones where the marker has a bit; NULL if all of 31 are */
} SLICE(block);

typedef struct {
    slice_word digit[SLICE(DIGITS)];
} SLICE(count);

SLICE_INLINE slice_word SLICE(all)(uint64_t mask)
{
    return mask - (slice_word){0};
}

/* Wrong bit k of every place. */
SLICE_INLINE slice_word SLICE(tap)(const SLICE(block) *b, int k)
{
    slice_word v = b->at[k >> 3];
    switch (k & 7) { /* the shift must be a constant */
    case 1: v = SLICE_SHIFT(v, b->next[k >> 3], 1); break;
    case 2: v = SLICE_SHIFT(v, b->next[k >> 3], 2); break;
    case 3: v = SLICE_SHIFT(v, b->next[k >> 3], 3); break;
    case 4: v = SLICE_SHIFT(v, b->next[k >> 3], 4); break;
    case 5: v = SLICE_SHIFT(v, b->next[k >> 3], 5); break;
    case 6: v = SLICE_SHIFT(v, b->next[k >> 3], 6); break;
    case 7: v = SLICE_SHIFT(v, b->next[k >> 3], 7); break;
    }
    v ^= SLICE(all)(b->flip[k]);
    return b->keep ? v & SLICE(all)(b->keep[k]) : v;
}

/* Add two words to a digit; the carry is what a next digit gets. */
SLICE_INLINE slice_word SLICE(add)(slice_word *digit, slice_word x, slice_word y)
{
    slice_word carry = SLICE_MAJ(*digit, x, y);
    *digit = SLICE_XOR3(*digit, x, y);
    return carry;
}

/* Add 2, 4, 8 and 16 taps from k on to the digits below; the carry is for the digit above them. */
SLICE_INLINE slice_word SLICE(add_2)(const SLICE(block) *b, SLICE(count) *c, int k)
{
    return SLICE(add)(&c->digit[0], SLICE(tap)(b, k), SLICE(tap)(b, k + 1));
}

SLICE_INLINE slice_word SLICE(add_4)(const SLICE(block) *b, SLICE(count) *c, int k)
{
    slice_word x = SLICE(add_2)(b, c, k), y = SLICE(add_2)(b, c, k + 2);
    return SLICE(add)(&c->digit[1], x, y);
}

SLICE_INLINE slice_word SLICE(add_8)(const SLICE(block) *b, SLICE(count) *c, int k)
{
    slice_word x = SLICE(add_4)(b, c, k), y = SLICE(add_4)(b, c, k + 4);
    return SLICE(add)(&c->digit[2], x, y);
}

SLICE_INLINE slice_word SLICE(add_16)(const SLICE(block) *b, SLICE(count) *c, int k)
{
    slice_word x = SLICE(add_8)(b, c, k), y = SLICE(add_8)(b, c, k + 8);
    return SLICE(add)(&c->digit[3], x, y);
}

SLICE_INLINE void SLICE(add_all)(const SLICE(block) *b, SLICE(count) *c)
{
    c->digit[0] = SLICE(tap)(b, 0);
    c->digit[1] = SLICE(add_2)(b, c, 1);
    c->digit[2] = SLICE(add_4)(b, c, 3);
    c->digit[3] = SLICE(add_8)(b, c, 7);
    c->digit[4] = SLICE(add_16)(b, c, 15);
}

/* Ones where the count is at least `limit`: from the lowest digit up, the comparison so far stands
 * where the digits are equal. */
SLICE_INLINE slice_word SLICE(at_least)(const SLICE(count) *c, uint32_t limit)
{
    slice_word yes = SLICE(all)(~(uint64_t)0);
    for (int i = 0; i < SLICE(DIGITS); i++) {
        slice_word not_one = SLICE(all)(limit >> i & 1 ? 0 : ~(uint64_t)0);
        yes = SLICE_MAJ(c->digit[i], not_one, yes);
    }
    return yes;
}

SLICE_INLINE void SLICE(scan)(fs_marker_scan *s, int whole)
{
    enum { NBYTES = 8 * SLICE(LANES) };
    uint64_t flip[SLICE(TAPS)], keep[SLICE(TAPS)];
    uint32_t taps = s->nbits < SLICE(TAPS) ? s->nbits : SLICE(TAPS);
    uint64_t places = s->step == 8 ? 0x8080808080808080 : ~(uint64_t)0;
    for (uint32_t k = 0; k < SLICE(TAPS); k++) {
        flip[k] = s->marker >> (63 - k) & 1 ? ~(uint64_t)0 : 0;
        keep[k] = k < taps ? ~(uint64_t)0 : 0;
    }
    size_t i = (size_t)(s->at >> 3);
    for (; 8 * (uint64_t)i < s->end && i + NBYTES + 4 <= s->nbytes; i += NBYTES) {
        SLICE(block) b = {.flip = flip, .keep = whole ? NULL : keep};
        SLICE(count) c;
        for (int q = 0; q < 5; q++)
            b.at[q] = SLICE_LOAD(s->buf + i + q);
        for (int q = 0; q < 4; q++)
            b.next[q] = b.at[q + 1] << 56;
        SLICE(add_all)(&b, &c);
        slice_word found = whole ? SLICE_EQUAL(c.digit[2], c.digit[3], c.digit[4])
                                 : SLICE(at_least)(&c, taps - s->max_wrong) |
                                       ~SLICE(at_least)(&c, s->max_wrong + 1);
        found &= SLICE(all)(places);
        if (__builtin_expect(!SLICE_ANY(found), 1))
            continue;
        uint64_t lanes[SLICE(LANES)];
        memcpy(lanes, &found, sizeof found);
        for (int j = 0; j < SLICE(LANES); j++)
            if (!fs_marker_try_mask(s, 8 * (uint64_t)i + 64 * (uint64_t)j, lanes[j]))
                return;
    }
    if (8 * (uint64_t)i > s->at)
        s->at = 8 * (uint64_t)i;
}

SLICE_TARGET SLICE_LINKAGE void SLICE(run)(fs_marker_scan *s)
{
    if (s->nbits >= SLICE(TAPS) && s->max_wrong <= 3)
        SLICE(scan)(s, 1);
    else if (s->max_wrong < SLICE(TAPS) / 2)
        SLICE(scan)(s, 0);
}

#undef SLICE
#undef SLICE_INLINE
#undef SLICE_TARGET
#undef slice_word
#undef SLICE_LOAD
#undef SLICE_ANY
