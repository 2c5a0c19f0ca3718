/* The body of the CRCs that fold 128 bits at a time, for processors that multiply 64 by 64 bits.
 * The including file names what it is built of, all static inline:
 *
 *     FOLD_TARGET                             attribute of the functions
 *     v128                                    128 bits, the message's first octet the most significant
 *     v128 fold_load(p, octets, mirrored)     16 octets from p, the first four exclusive-or octets
 *     v128 fold_head(p, octets, h, mirrored)  the first h of those, at the low end, zeros above
 *     v128 fold_move(a, k)                    early half of a times k[1] + late half times k[0]
 *     v128 fold_xor(a, b)
 *     uint32_t fold_reduce(k, a)              a * x^32 mod P, by two weights and Barrett */

/* The CRC of nbytes >= 16 octets. */
FOLD_TARGET static inline __attribute__((always_inline)) uint32_t
fold_octets(const fs_crc_fold *k, const uint8_t *p, size_t nbytes, uint32_t octets, int mirrored)
{
    size_t head = ((nbytes - 1) & 15) + 1, blocks = (nbytes - head) / 16;
    uint32_t spill = fs_crc_spill(octets, head);
    v128 a = fold_head(p, octets, head, mirrored);
    p += head;
    if (blocks >= 4) {
        a = fold_xor(fold_move(a, k->by128), fold_load(p, spill, mirrored));
        v128 b = fold_load(p + 16, 0, mirrored), c = fold_load(p + 32, 0, mirrored);
        v128 d = fold_load(p + 48, 0, mirrored);
        for (p += 64, blocks -= 4; blocks >= 4; p += 64, blocks -= 4) {
            a = fold_xor(fold_move(a, k->by512), fold_load(p, 0, mirrored));
            b = fold_xor(fold_move(b, k->by512), fold_load(p + 16, 0, mirrored));
            c = fold_xor(fold_move(c, k->by512), fold_load(p + 32, 0, mirrored));
            d = fold_xor(fold_move(d, k->by512), fold_load(p + 48, 0, mirrored));
        }
        a = fold_xor(fold_move(a, k->by384), fold_move(b, k->by256));
        a = fold_xor(a, fold_xor(fold_move(c, k->by128), d));
        spill = 0;
    }
    for (; blocks; p += 16, blocks--, spill = 0)
        a = fold_xor(fold_move(a, k->by128), fold_load(p, spill, mirrored));
    return fold_reduce(k, a);
}
