/* What writing and reading MCAP share (https://mcap.dev/spec): a record is an opcode octet, a u64
 * length and its content, all little-endian. The content of a Message is u16 channel id, u32
 * sequence, u64 log time, u64 publish time, data; of a Message Index u16 channel id, u32 octets,
 * then (u64 time, u64 offset) of each message. */
#ifndef FLATSAT_MCAP_FORMAT_H
#define FLATSAT_MCAP_FORMAT_H

enum { OP_MESSAGE = 0x05, OP_MESSAGE_INDEX = 0x07, OP_CHUNK_INDEX = 0x08 };
enum {
    RECORD_HEAD = 1 + 8,
    MESSAGE_HEAD = RECORD_HEAD + 2 + 4 + 8 + 8,
    INDEX_HEAD = RECORD_HEAD + 2 + 4,
    ENTRY = 8 + 8, /* of a Message Index */
};

#endif
