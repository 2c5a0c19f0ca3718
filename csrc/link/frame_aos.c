/* AOS transfer frames (CCSDS 732.0-B-4 section 4.1): header of six octets with its own error
 * control, insert zone, M_PDU or B_PDU or octets as they are, control field, frame check.
 *
 * The error control is the code RS(10,6) over GF(16) = GF(2)[a]/(a^4 + a + 1), with the roots a^6
 * to a^9: g = x^4 + a^3 x^3 + a x^2 + a^3 x + 1. Four symbols stand in a word of 16 bits. The
 * parity of six symbols is linear in their 24 bits, so three tables give it, which the compiler
 * writes: A multiplies each symbol of a word by a, X multiplies a remainder by x modulo g. */
#include "frame_kernels.h"
#include "coding/linear.h"

enum {
    HEADER = 6,
    IDLE_VCID = 63,
    NONE_STARTS = 0x7FF,
    ONLY_IDLE = 0x7FE,
    ALL_BITS = 0x3FFF, /* of a bitstream zone are valid */
    NO_BITS = 0x3FFE,
    PLACES = 10, /* symbols of a codeword */
};

#define A(r) ((((r) << 1) & 0xEEEE) ^ (((r) >> 3 & 0x1111) * 3))
#define X(r)                                                                                       \
    ((((r) << 4) & 0xFFFF) ^ (((r) >> 12 & 1) * P0_0) ^ (((r) >> 13 & 1) * P0_1) ^                 \
     (((r) >> 14 & 1) * P0_2) ^ (((r) >> 15 & 1) * P0_3))
#define SYMBOL(name, b0, b1, b2, b3, first)                                                        \
    name##b0 = (first), name##b1 = A(name##b0), name##b2 = A(name##b1), name##b3 = A(name##b2)

/* Pk_b: parity of bit b of octet k before the end. */
enum {
    SYMBOL(P0_, 0, 1, 2, 3, 0x8281),
    SYMBOL(P0_, 4, 5, 6, 7, X(P0_0)),
    SYMBOL(P1_, 0, 1, 2, 3, X(P0_4)),
    SYMBOL(P1_, 4, 5, 6, 7, X(P1_0)),
    SYMBOL(P2_, 0, 1, 2, 3, X(P1_4)),
    SYMBOL(P2_, 4, 5, 6, 7, X(P2_0)),
};

static const uint16_t PARITY[3][256] = {
    {FS_LINEAR_256(P0_)}, {FS_LINEAR_256(P1_)}, {FS_LINEAR_256(P2_)}};

uint16_t fs_aos_fhec(uint16_t first, uint8_t signalling)
{
    return PARITY[2][first >> 8] ^ PARITY[1][first & 0xFF] ^ PARITY[0][signalling];
}

static uint32_t times(uint32_t a, uint32_t b)
{
    uint32_t r = 0;
    for (; b; b >>= 1, a = A(a))
        r ^= (b & 1) * a;
    return r;
}

static uint32_t power(uint32_t a, unsigned n)
{
    uint32_t r = 1;
    while (n--)
        r = times(r, a);
    return r;
}

static uint32_t over(uint32_t a, uint32_t b)
{
    return times(a, power(b, 14));
}

/* Where up to two symbols are wrong, and by how much (Peterson, Gorenstein, Zierler), from the
 * remainder of what was received. Returns how many, or FS_E_CHECK. */
static int locate(uint32_t remainder, unsigned *place, uint32_t *value)
{
    uint32_t s[4] = {0}, determinant, first, second;
    for (unsigned j = 0; j < 4; j++)
        for (unsigned k = 4; k--;)
            s[j] = times(s[j], power(2, 6 + j)) ^ (remainder >> 4 * k & 15);
    determinant = times(s[1], s[1]) ^ times(s[0], s[2]);
    if (!determinant) { /* s[0] y, s[1] = s[0] x, ...: one symbol, or none such */
        first = s[0] ? over(s[1], s[0]) : 0;
        second = 0;
        if (times(s[1], first) != s[2] || times(s[2], first) != s[3])
            return FS_E_CHECK;
    } else {
        first = over(times(s[1], s[2]) ^ times(s[0], s[3]), determinant);
        second = over(times(s[1], s[3]) ^ times(s[2], s[2]), determinant);
        if (!second)
            return FS_E_CHECK;
    }
    int found = 0, wanted = second ? 2 : 1;
    for (unsigned i = 0; i < PLACES; i++) {
        uint32_t x = power(2, i);
        if (times(x, x) ^ times(first, x) ^ second)
            continue;
        uint32_t other = second ? first ^ x : 0;
        uint32_t scaled = second ? over(s[1] ^ times(s[0], other), x ^ other) : s[0];
        place[found] = i;
        value[found++] = over(scaled, power(x, 6));
    }
    return found == wanted ? found : FS_E_CHECK;
}

int64_t fs_aos_fhec_correct(uint8_t *header)
{
    static const uint8_t OCTET[PLACES / 2] = {7, 6, 5, 1, 0}; /* from the end of the codeword */
    uint32_t parity = fs_aos_fhec((uint16_t)(header[0] << 8 | header[1]), header[5]);
    uint32_t remainder = parity ^ (uint32_t)(header[6] << 8 | header[7]);
    unsigned place[2];
    uint32_t value[2];
    if (!remainder)
        return 0;
    int wrong = locate(remainder, place, value);
    for (int i = 0; i < wrong; i++)
        header[OCTET[place[i] / 2]] ^= (uint8_t)(value[i] << 4 * (place[i] & 1));
    return wrong;
}

/* The bits of a B_PDU: two spare, 14 that say which bit is the last valid one. */
static void read_bits(const uint8_t *zone, size_t nzone, fs_frame_parts *parts)
{
    uint32_t nbits = (uint32_t)(zone[0] << 8 | zone[1]) & 0x3FFF;
    parts->raw_pointer = (uint16_t)nbits;
    parts->data = zone + 2;
    parts->ndata = nzone - 2;
    parts->zone = nbits == NO_BITS ? FS_ZONE_IDLE : FS_ZONE_UNIT;
    parts->kind = FS_UNIT_BITSTREAM;
    parts->flags |= FS_FRAME_UNPACKETISED;
    parts->info = nbits == ALL_BITS ? (uint32_t)(8 * parts->ndata) : nbits + 1;
    if (parts->zone == FS_ZONE_UNIT && parts->info > 8 * parts->ndata)
        parts->zone = FS_ZONE_BROKEN;
    else if (parts->zone == FS_ZONE_UNIT)
        parts->ndata = (parts->info + 7) / 8;
}

static void read_packets(const uint8_t *zone, size_t nzone, fs_frame_parts *parts)
{
    uint32_t pointer = (uint32_t)(zone[0] << 8 | zone[1]) & 0x7FF;
    parts->raw_pointer = (uint16_t)pointer;
    parts->pointer = pointer == NONE_STARTS ? FS_NO_POINTER : pointer;
    parts->data = zone + 2;
    parts->ndata = nzone - 2;
    parts->zone = pointer == ONLY_IDLE ? FS_ZONE_IDLE : FS_ZONE_PACKETS;
}

int64_t fs_aos_parse(const fs_frame_settings *set, const uint8_t *frame, size_t nbytes,
                     fs_frame_parts *parts)
{
    uint8_t head[HEADER + 2];
    size_t at = HEADER, end = nbytes - set->fecf;
    for (size_t i = 0; i < HEADER + 2 && i < nbytes; i++)
        head[i] = frame[i];
    if (set->fhec) {
        int64_t corrected = fs_aos_fhec_correct(head);
        if (corrected < 0)
            return FS_FRAME_BAD_FHEC;
        parts->flags |= corrected ? FS_FRAME_CORRECTED : 0;
        at += 2;
    }
    if (head[0] >> 6 != 1)
        return FS_FRAME_BAD_VERSION;
    parts->scid = (uint16_t)((head[5] & 0x30) << 4 | ((head[0] << 8 | head[1]) >> 6 & 0xFF));
    parts->vcid = head[1] & 0x3F;
    parts->count = (uint64_t)head[2] << 16 | (uint64_t)head[3] << 8 | head[4];
    parts->mask = 0xFFFFFF;
    if (head[5] & 0x40) { /* the count goes on in the cycle */
        parts->count |= (uint64_t)(head[5] & 15) << 24;
        parts->mask = 0xFFFFFFF;
    }
    parts->flags |= head[5] & 0x80 ? FS_FRAME_REPLAY : 0;
    if (set->ocf)
        end = fs_take_ocf(frame, at, end, parts);
    at += set->insert_nbytes;
    parts->data = frame + at;
    parts->ndata = end - at;
    if (parts->vcid == IDLE_VCID) {
        parts->zone = FS_ZONE_IDLE;
    } else if (set->service[parts->vcid] == FS_SERVICE_OPAQUE) {
        parts->zone = FS_ZONE_UNIT;
        parts->kind = FS_UNIT_OPAQUE;
        parts->flags |= FS_FRAME_UNPACKETISED;
    } else if (set->service[parts->vcid] == FS_SERVICE_BITSTREAM) {
        read_bits(frame + at, end - at, parts);
    } else {
        read_packets(frame + at, end - at, parts);
    }
    return FS_FRAME_TAKEN;
}
