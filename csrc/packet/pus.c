/* PUS secondary headers to columns. A format gives all positions, so that each packet is a handful
 * of loads at places that are the same for all of them. */
#include "flatsat.h"

enum { PRIMARY = 6, FIXED = 9 };

#define SECOND_NS 1000000000ll
#define DAY_NS (86400 * SECOND_NS)

/* A number of 0 to 4 octets. The widths are the same for all packets of a call, so that the branch
 * is always foreseen. */
static uint64_t big_endian(const uint8_t *at, unsigned nbytes)
{
    switch (nbytes) {
    case 1:
        return at[0];
    case 2:
        return (uint32_t)(at[0] << 8 | at[1]);
    case 3:
        return (uint32_t)(at[0] << 16 | at[1] << 8 | at[2]);
    case 4:
        return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    default:
        return 0;
    }
}

/* Unsegmented time (CCSDS 301.0-B-4 section 3.2), rounded to the nearest nanosecond. */
static int64_t cuc_ns(const uint8_t *at, unsigned coarse, unsigned fine)
{
    uint64_t fraction = big_endian(at + coarse, fine), half = (1ull << 8 * fine) >> 1;
    return (int64_t)big_endian(at, coarse) * SECOND_NS +
           (int64_t)((fraction * SECOND_NS + half) >> 8 * fine);
}

/* Day segmented time (section 3.3); -1 if the time of day lies behind the leap second or the day
 * behind the 292 years that 64 bits of nanoseconds hold. */
static int64_t cds_ns(const uint8_t *at, unsigned day, unsigned below)
{
    uint64_t days = big_endian(at, day), ms = big_endian(at + day, 4);
    uint64_t rest = big_endian(at + day + 4, below);
    if (days >= INT64_MAX / DAY_NS - 1 || ms >= 86401000 || (below == 2 && rest > 999) ||
        (below == 4 && rest > 999999999))
        return -1;
    uint64_t ns = below == 4 ? (rest + 500) / 1000 : rest * 1000;
    return (int64_t)(days * DAY_NS + ms * 1000000 + ns);
}

static unsigned time_nbytes(const fs_pus_format *f)
{
    if (f->time == FS_PUS_TIME_NONE)
        return 0;
    unsigned ms = f->time == FS_PUS_TIME_CDS ? 4 : 0;
    return f->preamble_nbytes + f->coarse_nbytes + ms + f->fine_nbytes;
}

int64_t fs_pus_header_nbytes(const fs_pus_format *format)
{
    const fs_pus_format *f = format;
    int ok = f->version >= 1 && f->version <= 2 && f->counter_nbytes <= 4 && f->party_nbytes <= 4 &&
             f->preamble_nbytes <= 2 && (f->check_nbytes == 0 || f->check_nbytes == 2);
    if (f->time == FS_PUS_TIME_CUC)
        ok &= f->coarse_nbytes >= 1 && f->coarse_nbytes <= 4 && f->fine_nbytes <= 4;
    else if (f->time == FS_PUS_TIME_CDS)
        ok &= (f->coarse_nbytes == 2 || f->coarse_nbytes == 3) &&
              (f->fine_nbytes == 0 || f->fine_nbytes == 2 || f->fine_nbytes == 4);
    else
        ok &= f->time == FS_PUS_TIME_NONE;
    if (!ok)
        return FS_E_RANGE;
    return FIXED + f->counter_nbytes + f->party_nbytes + time_nbytes(f) + f->spare_nbytes;
}

static int64_t read_time(const fs_pus_format *f, const uint8_t *at)
{
    if (f->time == FS_PUS_TIME_NONE)
        return 0;
    for (unsigned i = 0; i < f->preamble_nbytes; i++)
        if (at[i] != f->preamble[i])
            return -1;
    at += f->preamble_nbytes;
    return f->time == FS_PUS_TIME_CUC ? cuc_ns(at, f->coarse_nbytes, f->fine_nbytes)
                                      : cds_ns(at, f->coarse_nbytes, f->fine_nbytes);
}

static uint8_t fault_of(const fs_pus_format *f, const uint8_t *apids, const uint8_t *p,
                        uint32_t nbytes, uint32_t least)
{
    uint32_t apid = (uint32_t)(p[0] & 7) << 8 | p[1];
    if (!(p[0] & 0x08) || apid == FS_PACKET_APID_IDLE ||
        (apids && !(apids[apid >> 3] >> (apid & 7) & 1)))
        return FS_PUS_NO_HEADER;
    if ((p[0] >> 4 & 1) != (f->telecommand != 0))
        return FS_PUS_OTHER_TYPE;
    if (p[PRIMARY] >> 4 != f->version)
        return FS_PUS_VERSION;
    return nbytes < least ? FS_PUS_SHORT : FS_PUS_GOOD;
}

static void blank(const fs_pus_columns *out, size_t i)
{
    out->status[i] = out->service[i] = out->subtype[i] = 0;
    out->counter[i] = out->party[i] = out->data_nbytes[i] = 0;
    out->t_ns[i] = 0;
    out->data_offset[i] = 0;
}

int64_t fs_pus_decode_columns(const fs_pus_format *format, const uint8_t *apids, const uint8_t *buf,
                              size_t nbytes, const uint64_t *offsets, const uint32_t *lengths,
                              size_t count, const fs_pus_columns *out)
{
    const fs_pus_format f = *format;
    int64_t header = fs_pus_header_nbytes(&f), good = 0;
    if (header < 0)
        return header;
    uint32_t least = (uint32_t)header + f.check_nbytes;
    uint32_t time_at = FIXED + f.counter_nbytes + f.party_nbytes;
    for (size_t i = 0; i < count; i++)
        if (lengths[i] < FS_PACKET_MIN_NBYTES || offsets[i] > nbytes ||
            lengths[i] > nbytes - offsets[i])
            return FS_E_SHORT;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *p = buf + offsets[i];
        uint8_t fault = fault_of(&f, apids, p, lengths[i], least);
        int64_t t_ns = fault ? 0 : read_time(&f, p + time_at);
        out->fault[i] = fault = t_ns < 0 ? FS_PUS_TIME : fault;
        if (fault) {
            blank(out, i);
            continue;
        }
        good++;
        out->status[i] = p[PRIMARY] & 15;
        out->service[i] = p[7];
        out->subtype[i] = p[8];
        out->counter[i] = (uint32_t)big_endian(p + FIXED, f.counter_nbytes);
        out->party[i] = (uint32_t)big_endian(p + FIXED + f.counter_nbytes, f.party_nbytes);
        out->t_ns[i] = t_ns;
        out->data_offset[i] = offsets[i] + (uint64_t)header;
        out->data_nbytes[i] = lengths[i] - least;
    }
    return good;
}
