/* The chain, fed with what a sender makes and a channel then does to it: TM frames full of packets,
 * coded, randomised, behind markers, of which octets are hurt, bits are lost or put in, and parts
 * turned over. However it is cut and on every tier the result is the same, and each octet is
 * counted. Without damage every packet comes back. */
#include "chain_run.h"

enum { MOST = 12, ROOM = 1 << 14, MARKER_NBYTES = 4 };

static uint8_t stream[ROOM], packets[ROOM];

/* Space packets of lengths from the input, one behind the other, and an idle one to fill up. Returns
 * how many there are that are not idle. */
static size_t make_packets(fuzz_input *in, size_t nbytes)
{
    size_t at = 0, count = 0;
    while (at < nbytes) {
        size_t left = nbytes - at, length = 7 + take(in, 1) % 90;
        int last = left < length + 7 || !in->nbytes;
        length = last ? left : length;
        uint8_t *p = packets + at;
        uint32_t apid = last ? 0x7FF : (uint32_t)(count % 5), behind = (uint32_t)length - 7;
        memset(p, (int)count, length);
        p[0] = (uint8_t)(apid >> 8);
        p[1] = (uint8_t)apid;
        p[2] = (uint8_t)(0xC0 | count >> 8);
        p[3] = (uint8_t)count;
        p[4] = (uint8_t)(behind >> 8);
        p[5] = (uint8_t)behind;
        count += !last;
        at += length;
    }
    return count;
}

/* Where the first packet that begins at or behind `at` begins. */
static size_t next_packet(size_t at, size_t end)
{
    size_t place = 0;
    while (place < at && place < end)
        place += (size_t)(packets[place + 4] << 8 | packets[place + 5]) + 7;
    return place;
}

/* Frame k of virtual channel 1 and spacecraft 5, checked if asked for. */
static void make_frame(const fs_frame_settings *of, size_t k, size_t room, size_t end, uint8_t *to)
{
    size_t first = next_packet(k * room, end) - k * room;
    uint32_t pointer = first < room ? (uint32_t)first : 0x7FF;
    uint8_t head[6] = {0, 0x52, (uint8_t)k, (uint8_t)k, (uint8_t)(0x18 | pointer >> 8),
                       (uint8_t)pointer};
    memcpy(to, head, sizeof head);
    memcpy(to + sizeof head, packets + k * room, room);
    if (of->fecf) {
        uint16_t crc = fs_crc16(to, of->nbytes - 2, 0xFFFF);
        to[of->nbytes - 2] = (uint8_t)(crc >> 8);
        to[of->nbytes - 1] = (uint8_t)crc;
    }
}

static void shift_bits(size_t from, size_t nbytes, int in)
{
    uint8_t carry = in ? stream[from] & 1 : 0;
    for (size_t i = from; in && i < nbytes; i++) { /* a bit is put in */
        uint8_t next = stream[i] & 1;
        stream[i] = (uint8_t)(carry << 7 | stream[i] >> 1);
        carry = next;
    }
    for (size_t i = from; !in && i + 1 < nbytes; i++) /* a bit is lost */
        stream[i] = (uint8_t)(stream[i] << 1 | stream[i + 1] >> 7);
}

/* Returns whether anything was done. */
static int damage(fuzz_input *in, size_t nbytes)
{
    int hurt = in->nbytes > 0;
    while (in->nbytes) {
        uint64_t what = take(in, 1);
        size_t at = take(in, 2) % nbytes;
        if (what < 200)
            stream[at] ^= (uint8_t)what;
        else if (what < 240)
            shift_bits(at, nbytes, what & 1);
        else
            for (size_t i = at; i < nbytes; i++)
                stream[i] ^= 0xFF;
    }
    return hurt;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    static const uint8_t MARK[MARKER_NBYTES] = {0x1A, 0xCF, 0xFC, 0x1D};
    fuzz_input in = {data, nbytes};
    uint32_t bits = (uint32_t)take(&in, 2);
    fs_chain_settings is = {.randomiser = (int32_t)(bits & 3) - 1};
    fs_frame_settings of = {.kind = FS_FRAME_TM, .scid = bits >> 2 & 1 ? 5 : -1};
    is.sync = (fs_sync_settings){.marker = 0x1ACFFC1D, .marker_nbits = 32, .inverted = 1};
    is.sync.lock_wrong = 3;
    is.sync.search_wrong = bits >> 3 & 1;
    is.sync.verify = bits >> 4 & 1;
    is.sync.misses = bits >> 5 & 3;
    is.sync.slip = bits >> 7 & 1;
    is.sync.step = 1;
    of.fecf = bits >> 8 & 1 ? 2 : 0;
    if (bits >> 9 & 1)
        is.rs = (fs_rs_code){bits >> 10 & 1 ? 16 : 8, bits >> 11 & 1, 1 + (bits >> 12) % 5, 0, 0};
    size_t shorter = take(&in, 1) % 200, frames_sent = 1 + take(&in, 1) % MOST;
    is.rs.fill = is.rs.e ? (uint8_t)shorter : 0;
    of.nbytes = is.rs.e ? (uint32_t)fs_rs_data_nbytes(&is.rs) : 20 + 3 * (uint32_t)shorter;
    size_t unit = fs_chain_unit_nbytes(&is, of.nbytes), room = of.nbytes - 6u - of.fecf;
    size_t sent = MARKER_NBYTES + unit;
    if (room > of.nbytes || room < 7 || of.nbytes < 20)
        return 0;
    if (frames_sent * sent > ROOM - 64)
        frames_sent = (ROOM - 64) / sent;
    size_t count = make_packets(&in, frames_sent * room), chunk = 1 + take(&in, 2);
    for (size_t k = 0; k < frames_sent; k++) {
        uint8_t *to = stream + k * sent;
        memcpy(to, MARK, sizeof MARK);
        make_frame(&of, k, room, frames_sent * room, to + MARKER_NBYTES);
        if (is.rs.e)
            FS_MUST(fs_rs_encode(&is.rs, to + MARKER_NBYTES, unit) == (int64_t)unit);
        if (is.randomiser >= 0)
            fs_randomise(is.randomiser, to + MARKER_NBYTES, to + MARKER_NBYTES, unit, 1);
    }
    int hurt = damage(&in, frames_sent * sent);
    outcome o = same_on_all_tiers(&is, &of, stream, frames_sent * sent, chunk);
    if (!hurt && frames_sent > is.sync.verify)
        FS_MUST(o.counts[3] == frames_sent && o.counts[6] == count);
    return 0;
}
