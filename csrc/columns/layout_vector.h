/* Columns by vectors: one text for every width of vector, included once for each.
 *
 * A window of 16 octets of each packet is four big-endian 32-bit words. Loaded packet by packet and
 * turned by 4 x 4 transpositions they become four rows: one word of every packet, packet beside
 * packet. Every field of the window is then, for a whole vector of packets at once, one row or a
 * funnel of two shifted left so that the field begins at the top bit; the narrowing keeps the upper
 * part, and a last shift right, arithmetic for signed fields, drops what follows. The steps are
 * data: the only branches are on the size of the column and on the kind of the step, the same for
 * all packets of a block.
 *
 * The including file defines FS_V(name), which appends the width to a name; FS_N, words a vector;
 * FS_T, the target attribute; and as static inline functions
 *     load(block, strided, i, window)    of packets i, i + 4, ... one a lane of 128 bits
 *     low32, high32, low64, high64(a, b) interleave the halves of each lane
 *     shl, shr, sar(v, n)                32-bit words by 0 to 31 bits
 *     funnel(a, b, n)                    a << n, with bits of b behind it; n is 0 to 31
 *     swap(v)                            octets of each word
 *     halves(a, b), order16(v)           upper halves of words; packets into order
 *     shr16, sar16(v, n)
 *     octets(a, b), order8(v)            lower octets of half words; packets into order
 *     pair(lo, hi, &first, &second)      64-bit words, in order
 *     store(to, v, stream)               stream past the caches if so asked; to is then aligned
 */

enum { FS_V(GROUPS) = FS_BLOCK_PACKETS / FS_N, FS_V(NBYTES) = 4 * FS_N };

typedef FS_V(vec) FS_V(row)[FS_V(GROUPS)];

FS_T static inline __attribute__((always_inline)) void
FS_V(turn)(const fs_block *b, int strided, size_t window, size_t ngroups, FS_V(row) *rows)
{
    for (size_t g = 0; g < ngroups; g++) {
        FS_V(vec) p0 = FS_V(load)(b, strided, g * FS_N, window);
        FS_V(vec) p1 = FS_V(load)(b, strided, g * FS_N + 1, window);
        FS_V(vec) p2 = FS_V(load)(b, strided, g * FS_N + 2, window);
        FS_V(vec) p3 = FS_V(load)(b, strided, g * FS_N + 3, window);
        FS_V(vec) a = FS_V(low32)(p0, p1), c = FS_V(low32)(p2, p3);
        FS_V(vec) d = FS_V(high32)(p0, p1), e = FS_V(high32)(p2, p3);
        rows[0][g] = FS_V(low64)(a, c);
        rows[1][g] = FS_V(high64)(a, c);
        rows[2][g] = FS_V(low64)(d, e);
        rows[3][g] = FS_V(high64)(d, e);
    }
}

/* Four vectors of a field of at most 32 bits, moved to the top of each word; `two` if it lies in
 * two words. */
FS_T static inline __attribute__((always_inline)) void
FS_V(tops)(const fs_layout_step *s, const FS_V(row) *rows, size_t g, int two, int swap,
           FS_V(vec) v[4])
{
    const FS_V(vec) *row = rows[s->row] + g, *next = row + FS_V(GROUPS);
    for (size_t i = 0; i < 4; i++)
        v[i] = two ? FS_V(funnel)(row[i], next[i], s->left) : FS_V(shl)(row[i], s->left);
    for (size_t i = 0; i < 4 && swap; i++)
        v[i] = FS_V(shl)(FS_V(swap)(v[i]), 32 - s->width);
}

/* A field of at most 32 bits of 4 * FS_N packets at a time, to elements of `form` octets. Inlined
 * once for each form, so that it holds the vectors' work alone: a processor foresees which step is
 * next only if few branches lie between two of them. */
FS_T static inline __attribute__((always_inline)) void
FS_V(narrow)(const fs_layout_step *s, const FS_V(row) *rows, size_t ngroups, uint8_t *to,
             int stream, size_t form, int is_signed, int two, int swap)
{
    for (size_t g = 0; g < ngroups; g += 4, to += form * 4 * FS_N) {
        FS_V(vec) v[4], half[2];
        FS_V(tops)(s, rows, g, two, swap, v);
        for (size_t i = 0; i < 4 && form == 4; i++) {
            unsigned right = 32u - s->width;
            v[i] = is_signed ? FS_V(sar)(v[i], right) : FS_V(shr)(v[i], right);
            FS_V(store)(to + i * FS_V(NBYTES), v[i], stream);
        }
        for (size_t i = 0; i < 2 && form < 4; i++) {
            unsigned right = 16u - s->width;
            half[i] = FS_V(halves)(v[2 * i], v[2 * i + 1]);
            half[i] = is_signed ? FS_V(sar16)(half[i], right) : FS_V(shr16)(half[i], right);
            if (form == 2)
                FS_V(store)(to + i * FS_V(NBYTES), FS_V(order16)(half[i]), stream);
        }
        if (form == 1)
            FS_V(store)(to, FS_V(order8)(FS_V(octets)(half[0], half[1])), stream);
    }
}

/* One vector of a field of 33 to 64 bits: a big-endian number of two or three words. */
FS_T static inline __attribute__((always_inline)) void
FS_V(wide)(const fs_layout_step *s, const FS_V(row) *rows, size_t g, uint8_t *to, int stream,
           int three, int swap)
{
    const FS_V(vec) *row = rows[s->row] + g;
    unsigned left = s->left, right = 64u - s->width;
    FS_V(vec) next = row[FS_V(GROUPS)];
    FS_V(vec) hi = FS_V(funnel)(row[0], next, left), lo = FS_V(shl)(next, left);
    if (three)
        lo = FS_V(funnel)(next, row[2 * FS_V(GROUPS)], left);
    if (swap) {
        FS_V(vec) last = FS_V(swap)(hi);
        hi = FS_V(funnel)(FS_V(swap)(lo), last, right);
        lo = FS_V(shl)(last, right);
    }
    if (right) {
        lo = FS_V(funnel)(hi, lo, 32 - right);
        hi = s->is_signed ? FS_V(sar)(hi, right) : FS_V(shr)(hi, right);
    }
    FS_V(pair)(lo, hi, &lo, &hi);
    FS_V(store)(to, lo, stream);
    FS_V(store)(to + FS_V(NBYTES), hi, stream);
}

FS_T static inline __attribute__((always_inline)) void
FS_V(wides)(const fs_layout_step *s, const FS_V(row) *rows, size_t ngroups, uint8_t *to, int stream,
            int three, int swap)
{
    for (size_t g = 0; g < ngroups; g++, to += 2 * FS_V(NBYTES))
        FS_V(wide)(s, rows, g, to, stream, three, swap);
}

#define FS_CASE(form, is_signed, two)                                                              \
    case (form) | (is_signed) << 4 | (two) << 5:                                                   \
        FS_V(narrow)(s, rows, ngroups, to, stream, form, is_signed, two, 0);                       \
        break;
#define FS_CASES(form)                                                                             \
    FS_CASE(form, 0, 0) FS_CASE(form, 0, 1) FS_CASE(form, 1, 0) FS_CASE(form, 1, 1)

/* A field of `ngroups` vectors of packets, to elements of s->form octets. */
FS_T static inline __attribute__((always_inline)) void
FS_V(step)(const fs_layout_step *s, const FS_V(row) *rows, size_t ngroups, uint8_t *to, int stream)
{
    int two = s->left + s->width > 32;
    switch (s->form | s->is_signed << 4 | two << 5 | s->swap << 6) {
        FS_CASES(1)
        FS_CASES(2)
        FS_CASES(4)
    default:
        if (s->form < 8)
            FS_V(narrow)(s, rows, ngroups, to, stream, s->form, s->is_signed, two, 1);
        else if (s->left + s->width > 64)
            FS_V(wides)(s, rows, ngroups, to, stream, 1, s->swap);
        else
            FS_V(wides)(s, rows, ngroups, to, stream, 0, s->swap);
    }
}

FS_T void FS_V(fs_columns)(const fs_layout *layout, const fs_block *b, uint8_t *const *columns)
{
    FS_V(row) rows[4];
    _Alignas(64) uint8_t stage[FS_BLOCK_PACKETS * 8];
    size_t window = SIZE_MAX, ngroups = (b->n + 4 * FS_N - 1) / (4 * FS_N) * 4;
    for (size_t k = 0; k < layout->nfields; k++) {
        fs_layout_step s = layout->steps[k]; /* a copy, which no store to a column can change */
        uint8_t *column = columns[s.field], *out = column + b->row * s.form;
        fs_fetch_ahead(b, k);
        if (!s.form) {
            fs_columns_field(layout->fields + s.field, b, column);
            continue;
        }
        if (s.window != window) {
            window = s.window;
            if (b->strided)
                FS_V(turn)(b, 1, window, ngroups, rows);
            else
                FS_V(turn)(b, 0, window, ngroups, rows);
        }
        if (b->n == FS_BLOCK_PACKETS && b->stream && (uintptr_t)out % 64 == 0) {
            FS_V(step)(&s, rows, FS_V(GROUPS), out, 1);
            continue;
        }
        FS_V(step)(&s, rows, ngroups, b->n == FS_BLOCK_PACKETS ? out : stage, 0);
        if (b->n != FS_BLOCK_PACKETS)
            memcpy(out, stage, b->n * s.form);
    }
}

#undef FS_CASE
#undef FS_CASES
