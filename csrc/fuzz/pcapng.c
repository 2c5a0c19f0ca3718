/* Records as packets: every record becomes one block of the length that it says, at its interface,
 * with its octets; what does not fit stays for the next call. Any octets at all may come instead. */
#include "fuzz.h"

enum { IDS = 1 << 16, INTERFACES = 8, HEAD = 28, CAN_HEAD = 8 };

static uint32_t interfaces[2 * IDS];
static uint64_t counts[INTERFACES];

/* An interface for most kinds and channels; some are left out, some have none yet. */
static void make_interfaces(void)
{
    if (interfaces[9] == FS_PCAPNG_NONE)
        return;
    for (size_t id = 0; id < 2 * IDS; id++)
        interfaces[id] = id % 16 == 9 ? FS_PCAPNG_NONE : id % 5 == 4 ? FS_PCAPNG_SKIP : id % INTERFACES;
}

static uint32_t word(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* Take the next record of the input against a block; return where the one behind it begins. */
static size_t taken(const uint8_t *record, const uint8_t *block, uint32_t snaplen)
{
    fs_record head;
    memcpy(&head, record, sizeof head);
    int is_can = head.kind == 0x13 && head.length <= 64;
    size_t whole = sizeof head + head.length + (is_can ? CAN_HEAD : 0);
    size_t kept = snaplen && whole > snaplen && !is_can ? snaplen : whole;
    FS_MUST(word(block + 20) == kept && word(block + 24) == whole);
    const uint8_t *data = block + HEAD;
    if (is_can) {
        FS_MUST(!memcmp(data + CAN_HEAD, record + sizeof head, head.length));
        FS_MUST(!memcmp(data + CAN_HEAD + head.length, record, sizeof head));
    } else {
        FS_MUST(!memcmp(data, record, kept));
    }
    return sizeof head + head.length;
}

/* Walk what was written beside what was read; every block must be of a record, in order. */
static void compared(const uint8_t *buf, const uint8_t *out, const fs_pcapng_state *state)
{
    size_t at = 0;
    for (size_t block = 0; block < state->used;) {
        uint32_t size = word(out + block + 4);
        FS_MUST(word(out + block) == 6 && size % 4 == 0 && size >= HEAD + 4);
        FS_MUST(size <= state->used - block && word(out + block + size - 4) == size);
        fs_record head;
        for (;; at += sizeof head + head.length) { /* past those that are left out */
            FS_MUST(at < state->consumed);
            memcpy(&head, buf + at, sizeof head);
            size_t is_can = head.kind == 0x13 && head.length <= 64;
            uint32_t to = interfaces[is_can << 16 | (size_t)head.kind << 8 | head.channel];
            FS_MUST(to != FS_PCAPNG_NONE);
            if (to != FS_PCAPNG_SKIP)
                break;
        }
        at += taken(buf + at, out + block, state->snaplen);
        block += size;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_input in = {data, nbytes};
    size_t capacity = take(&in, 2) % 8192, ncomment = take(&in, 1);
    fs_pcapng_state state = {.counting = (uint8_t)(take(&in, 1) & 1)};
    state.snaplen = (uint32_t)take(&in, 1);
    make_interfaces();
    uint8_t *buf = exact(in.data, in.nbytes), *out = exact(NULL, capacity);
    uint8_t *comment = exact(NULL, ncomment);
    int64_t n = fs_pcapng_pack(buf, in.nbytes, interfaces, counts, comment, ncomment, out, capacity,
                               &state);
    if (n >= 0) {
        FS_MUST(state.consumed <= in.nbytes && state.used <= capacity);
        compared(buf, out, &state);
    }
    free(buf);
    free(out);
    free(comment);
    return 0;
}
