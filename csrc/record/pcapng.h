/* Wire records as Enhanced Packet Blocks of a pcapng file (draft-ietf-opsawg-pcapng, section 4.3). */
#ifndef FLATSAT_PCAPNG_H
#define FLATSAT_PCAPNG_H

#include <stddef.h>
#include <stdint.h>

/* CFFI BEGIN */

/* A packet is a whole wire record, for a link type of the user's. A CAN frame of at most 64 octets
 * is what LINKTYPE_CAN_SOCKETCAN says instead, and behind it, as what readers take for padding, the
 * header of its wire record. Options of a packet are its direction, where it has one, the records
 * lost before it, and the number of the record as its id. */

/* What a file needs from one buffer to the next. */
typedef struct {
    uint64_t consumed; /* octets of the last input that were taken */
    uint64_t used;     /* octets written */
    uint64_t time_ns;  /* what is added to the time of a record */
    uint64_t lost;     /* records that are missing in the numbers, in sum */
    uint64_t start_ns; /* earliest and latest time of a record; hold once started is not 0 */
    uint64_t end_ns;
    uint32_t next_seq; /* what the next number must be */
    uint8_t counting;  /* numbers are followed: 0 where records were left out of the input */
    uint8_t started;   /* a record was seen */
    uint8_t zero[2];
    uint32_t snaplen; /* octets of a packet that are kept; 0: all */
} fs_pcapng_state;

/* Write a block for each record in buf. interfaces has 2 * 65536 entries: the interface of records
 * at (kind << 8 | channel), of CAN frames 65536 further on; FS_PCAPNG_NONE where none was given
 * yet, FS_PCAPNG_SKIP for what is left out. counts has an entry an interface. Stops early, with
 * state->consumed < nbytes, before a record without an interface, before one that is worth a
 * comment (status not good, changed by a fault, or a FAULT), and where out is full. A comment, if
 * there is one, goes to the first record, which is then not looked at. Returns the number of
 * records taken, or FS_E_SHORT if buf ends inside a record. */
int64_t fs_pcapng_pack(const uint8_t *buf, size_t nbytes, const uint32_t *interfaces,
                       uint64_t *counts, const uint8_t *comment, size_t ncomment, uint8_t *out,
                       size_t capacity, fs_pcapng_state *state);

/* CFFI END */

#define FS_PCAPNG_NONE 0xFFFFFFFF
#define FS_PCAPNG_SKIP 0xFFFFFFFE

#endif
