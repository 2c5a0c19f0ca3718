/* The body of the CRCs that fold 128 bits at a time, for processors that multiply 64 by 64 bits.
 * The including file names what it is built of, all static inline:
 *
 *     FOLD_TARGET                             attribute of the functions
 *     v128                                    128 bits, the first octet of the message at the top
 *     v128 fold_load(p, octets, mirrored)     16 octets from p, the first four exclusive-or octets
 *     v128 fold_head(p, octets, h, mirrored)  the first h of those, at the low end, zeros above
 *     v128 fold_move(a, k)                    early half of a times k[1] + late half times k[0]
 *     v128 fold_xor(a, b)
 *     uint32_t fold_reduce(k, sum)            a sum of weighted quadwords modulo P, by Barrett */

/* From this many octets behind the head on, four registers. */
enum { FOLD_LONG = 256 };

/* nbytes >= FOLD_LONG octets behind a and b, which are folded onto the last of them. Returns the
 * octets taken. */
FOLD_TARGET static inline __attribute__((always_inline)) size_t
fold_long(const fs_crc_fold *k, v128 *a, v128 *b, const uint8_t *p, size_t nbytes, uint32_t spill,
          int mirrored)
{
    v128 c = fold_xor(fold_move(*a, k->by512), fold_load(p + 32, 0, mirrored));
    v128 d = fold_xor(fold_move(*b, k->by512), fold_load(p + 48, 0, mirrored));
    v128 e = fold_load(p, spill, mirrored), f = fold_load(p + 16, 0, mirrored);
    size_t i = 64;
    for (; i + 64 <= nbytes; i += 64) {
        e = fold_xor(fold_move(e, k->by512), fold_load(p + i, 0, mirrored));
        f = fold_xor(fold_move(f, k->by512), fold_load(p + i + 16, 0, mirrored));
        c = fold_xor(fold_move(c, k->by512), fold_load(p + i + 32, 0, mirrored));
        d = fold_xor(fold_move(d, k->by512), fold_load(p + i + 48, 0, mirrored));
    }
    *a = fold_xor(fold_move(e, k->by256), c);
    *b = fold_xor(fold_move(f, k->by256), d);
    return i;
}

/* The CRC of nbytes >= 16 octets. */
FOLD_TARGET static inline __attribute__((always_inline)) uint32_t
fold_octets(const fs_crc_fold *k, const uint8_t *p, size_t nbytes, uint32_t octets, int mirrored)
{
    size_t head = ((nbytes - 1) & 31) + 1, first = head > 16 ? head - 16 : 0;
    v128 a = fold_head(p, octets, first, mirrored);
    v128 b = fold_head(p + first, fs_crc_spill(octets, first), head - first, mirrored);
    uint32_t spill = fs_crc_spill(octets, head);
    p += head;
    nbytes -= head;
    if (nbytes >= FOLD_LONG) {
        size_t taken = fold_long(k, &a, &b, p, nbytes, spill, mirrored);
        p += taken;
        nbytes -= taken;
        spill = 0;
    }
    for (; nbytes; p += 32, nbytes -= 32, spill = 0) {
        a = fold_xor(fold_move(a, k->by256), fold_load(p, spill, mirrored));
        b = fold_xor(fold_move(b, k->by256), fold_load(p + 16, 0, mirrored));
    }
    return fold_reduce(k, fold_xor(fold_move(a, k->weight + 12), fold_move(b, k->weight + 14)));
}
