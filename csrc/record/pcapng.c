#include "flatsat.h"

#include <string.h>

enum { BLOCK_PACKET = 6, BLOCK_HEAD = 28, BLOCK_TAIL = 4 };
enum { OPT_END = 0, OPT_COMMENT = 1, OPT_FLAGS = 2, OPT_DROPCOUNT = 4, OPT_PACKETID = 5 };
enum { INBOUND = 1, OUTBOUND = 2 };
enum { CAN_HEAD = 8, CAN_MOST = 64 };
enum { FLAG_INPUT = 2, FLAG_FAULTED = 4, CAN_FORMAT_SHIFT = 4, CAN_FORMAT = 7 };
/* Kinds (flightsw.codec.wire.Kind). */
enum { FIRST_NUMBERED = 0x10, KIND_CAN = 0x13, KIND_FRAME = 0x15 };
enum { KIND_TC = 0x21, KIND_LINK = 0x22, KIND_WORLD = 0x31, KIND_FAULT = 0x32 };

static uint8_t *put32(uint8_t *to, uint32_t value)
{
    memcpy(to, &value, sizeof value);
    return to + sizeof value;
}

static size_t padded(size_t n)
{
    return (n + 3) & ~(size_t)3;
}

/* Zeros up to the next multiple of four, counted from the n octets before `to`. */
static uint8_t *pad(uint8_t *to, size_t n)
{
    for (; n & 3; n++)
        *to++ = 0;
    return to;
}

static uint8_t *put_option(uint8_t *to, uint16_t code, const void *value, size_t n)
{
    to = put32(to, code | (uint32_t)n << 16);
    memcpy(to, value, n);
    return pad(to + n, n);
}

/* Which way a record goes, towards the unit under test (inbound) or away from it; 0: neither. */
static uint32_t direction(const fs_record *head)
{
    if (head->flags & FLAG_INPUT || head->kind == KIND_TC || head->kind == KIND_FRAME)
        return INBOUND;
    return head->kind < KIND_LINK && head->kind >= FIRST_NUMBERED ? OUTBOUND : 0;
}

/* Take in number and time; return how many records are missing before this one. WORLD and the time
 * protocol take no number but carry the next one. */
static uint64_t follow(const fs_record *head, fs_pcapng_state *state)
{
    uint32_t gap = head->seq - state->next_seq;
    if (!state->started || !state->counting || gap > UINT32_MAX / 2)
        gap = 0; /* also of a number that comes again: something else than a loss */
    if (!state->started || head->t_ns < state->start_ns)
        state->start_ns = head->t_ns;
    if (!state->started || head->t_ns > state->end_ns)
        state->end_ns = head->t_ns;
    state->started = 1;
    state->next_seq = head->seq + (head->kind >= FIRST_NUMBERED && head->kind != KIND_WORLD);
    state->lost += gap;
    return gap;
}

static uint8_t *put_data(uint8_t *to, const uint8_t *record, const fs_record *head, size_t n)
{
    if (head == NULL) {
        memcpy(to, record, n);
        return to + n;
    }
    uint32_t id = head->address;
    uint8_t can[CAN_HEAD] = {(uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8),
                             (uint8_t)id, (uint8_t)head->length};
    can[5] = head->flags >> CAN_FORMAT_SHIFT & CAN_FORMAT;
    memcpy(to, can, CAN_HEAD);
    memcpy(to + CAN_HEAD, record + sizeof *head, head->length);
    memcpy(to + CAN_HEAD + head->length, record, sizeof *head);
    return to + n;
}

static uint8_t *put_options(uint8_t *to, const fs_record *head, uint64_t lost,
                            const uint8_t *comment, size_t ncomment)
{
    uint32_t way = direction(head);
    uint64_t number = head->seq;
    if (ncomment)
        to = put_option(to, OPT_COMMENT, comment, ncomment);
    if (way)
        to = put_option(to, OPT_FLAGS, &way, sizeof way);
    if (lost)
        to = put_option(to, OPT_DROPCOUNT, &lost, sizeof lost);
    to = put_option(to, OPT_PACKETID, &number, sizeof number);
    return put32(to, OPT_END);
}

/* Octets of a block with n octets of data. */
static uint32_t block_nbytes(const fs_record *head, size_t n, uint64_t lost, size_t ncomment)
{
    size_t options = (ncomment ? 4 + padded(ncomment) : 0) + (direction(head) ? 8 : 0);
    options += (lost ? 12 : 0) + 12 + 4;
    return (uint32_t)(BLOCK_HEAD + padded(n) + options + BLOCK_TAIL);
}

int64_t fs_pcapng_pack(const uint8_t *buf, size_t nbytes, const uint32_t *interfaces,
                       uint64_t *counts, const uint8_t *comment, size_t ncomment, uint8_t *out,
                       size_t capacity, fs_pcapng_state *state)
{
    size_t at = 0;
    int64_t taken = 0;
    if (ncomment > UINT16_MAX)
        return FS_E_RANGE;
    for (state->used = 0; at < nbytes; taken++, ncomment = 0) {
        fs_record head;
        if (nbytes - at < sizeof head)
            return FS_E_SHORT;
        memcpy(&head, buf + at, sizeof head);
        if (nbytes - at - sizeof head < head.length)
            return FS_E_SHORT;
        int is_can = head.kind == KIND_CAN && head.length <= CAN_MOST;
        uint32_t interface = interfaces[(size_t)is_can << 16 | (size_t)head.kind << 8 | head.channel];
        int notable = head.status || head.flags & FLAG_FAULTED || head.kind == KIND_FAULT;
        int kept = interface != FS_PCAPNG_SKIP;
        if (interface == FS_PCAPNG_NONE || (kept && notable && !ncomment))
            break;
        size_t whole = sizeof head + head.length + (is_can ? CAN_HEAD : 0), n = whole;
        if (state->snaplen && n > state->snaplen && !is_can)
            n = state->snaplen;
        if (n > UINT32_MAX / 2)
            return FS_E_RANGE;
        fs_pcapng_state before = *state;
        uint64_t lost = follow(&head, state), time_ns = head.t_ns + state->time_ns;
        uint32_t size = block_nbytes(&head, n, lost, ncomment);
        if (kept && size > capacity - state->used) {
            *state = before;
            break;
        }
        if (kept) {
            uint32_t fixed[] = {BLOCK_PACKET, size, interface, (uint32_t)(time_ns >> 32),
                                (uint32_t)time_ns, (uint32_t)n, (uint32_t)whole};
            uint8_t *to = out + state->used;
            memcpy(to, fixed, sizeof fixed);
            to = pad(put_data(to + sizeof fixed, buf + at, is_can ? &head : NULL, n), n);
            put32(put_options(to, &head, lost, comment, ncomment), size);
            state->used += size;
            counts[interface]++;
        }
        at += sizeof head + head.length;
    }
    state->consumed = at;
    return taken;
}
