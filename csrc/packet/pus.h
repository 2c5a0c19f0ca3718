/* Secondary headers of the packet utilisation standard, as columns: PUS-C (ECSS-E-ST-70-41C section
 * 7.4) and PUS-A (ECSS-E-70-41A section 5.3).
 *
 *     octet 6          version (PUS-C: 4 bits, PUS-A: a 0 and 3 bits), then 4 bits:
 *                      acknowledgement flags of a telecommand, time reference status of telemetry
 *     7, 8             service, subtype
 *     then             counter of this kind of message (telemetry only); 2 octets in PUS-C
 *                      destination of telemetry, source of a telecommand; 2 octets in PUS-C
 *                      time (telemetry only), spare octets, data
 *     last 2           packet error control
 *
 * What PUS-A leaves to the mission, and the form of the time, stand in a format. */
#ifndef FLATSAT_PUS_H
#define FLATSAT_PUS_H

#include <stddef.h>
#include <stdint.h>

/* CFFI BEGIN */

enum { FS_PUS_TIME_NONE = 0, FS_PUS_TIME_CUC = 1, FS_PUS_TIME_CDS = 2 };

/* Why a packet has no PUS header of this format. */
enum {
    FS_PUS_GOOD = 0,
    FS_PUS_OTHER_TYPE = 1, /* telemetry for a telecommand, or the other way round */
    FS_PUS_NO_HEADER = 2,  /* its secondary header flag is 0, or its APID carries no PUS */
    FS_PUS_VERSION = 3,
    FS_PUS_SHORT = 4, /* the headers do not fit */
    FS_PUS_TIME = 5,  /* the time's preamble is another, or its time of day is none */
};

/* Widths in octets. Zeros after `party_nbytes` mean: no time, no spare, no error control. */
typedef struct {
    uint8_t version;    /* 2: PUS-C, 1: PUS-A */
    uint8_t telecommand;
    uint8_t counter_nbytes; /* 0 to 4 */
    uint8_t party_nbytes;   /* destination or source, 0 to 4 */
    uint8_t time;           /* FS_PUS_TIME_ */
    uint8_t preamble_nbytes; /* 0: it is not sent; else `preamble` must stand there */
    uint8_t preamble[2];
    uint8_t coarse_nbytes; /* CUC: seconds, 1 to 4; CDS: days, 2 or 3 */
    uint8_t fine_nbytes;   /* CUC: fraction, 0 to 4; CDS: below a millisecond, 0, 2 (us) or 4 (ps) */
    uint8_t spare_nbytes;
    uint8_t check_nbytes; /* of the packet error control */
} fs_pus_format;

/* Each holds `count` elements, all zero in a row that has a fault. */
typedef struct {
    uint8_t *fault;   /* FS_PUS_GOOD or why not */
    uint8_t *status;  /* the 4 bits beside the version */
    uint8_t *service;
    uint8_t *subtype;
    uint32_t *counter;
    uint32_t *party;
    int64_t *t_ns; /* since the epoch of the time code */
    uint64_t *data_offset; /* in buf */
    uint32_t *data_nbytes;
} fs_pus_columns;

/* Octets from the start of a packet to its data. FS_E_RANGE if the format is none. */
int64_t fs_pus_header_nbytes(const fs_pus_format *format);

/* Read the headers of packets at `offsets`. `apids`, unless null, has a bit (apid & 7) of octet
 * apid >> 3 for each APID that carries PUS. Returns how many rows are good, or FS_E_RANGE for a
 * format that is none, FS_E_SHORT if a packet ends behind buf; then nothing was written. */
int64_t fs_pus_decode_columns(const fs_pus_format *format, const uint8_t *apids, const uint8_t *buf,
                              size_t nbytes, const uint64_t *offsets, const uint32_t *lengths,
                              size_t count, const fs_pus_columns *out);

/* CFFI END */

#endif
