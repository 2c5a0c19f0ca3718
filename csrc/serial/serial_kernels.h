/* Kernels of serial framing, by tier. None touches an octet outside of what the comments say. */
#ifndef FLATSAT_SERIAL_KERNELS_H
#define FLATSAT_SERIAL_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* Two octets that may not stand in a frame: flag becomes escape, flag_code; escape becomes escape,
 * escape_code. With `any`, escape and any other octet stand for that octet ^ 0x20 (RFC 1662). */
typedef struct {
    uint8_t flag, escape, flag_code, escape_code;
    int any;
} stuffing;

/* The octet that escape and `octet` stand for. Returns whether they stand for one. */
static inline int unescape(const stuffing *code, uint8_t octet, uint8_t *out)
{
    if (octet == code->flag_code)
        *out = code->flag;
    else if (octet == code->escape_code)
        *out = code->escape;
    else
        *out = octet ^ 0x20;
    return octet == code->flag_code || octet == code->escape_code || code->any;
}

/* out has 2 * nbytes octets. Returns octets written. */
typedef size_t stuff_kernel(const stuffing *code, const uint8_t *in, size_t nbytes, uint8_t *out);

/* out has nbytes octets; the input holds no flag. Returns octets written, or FS_E_FORMAT. */
typedef int64_t unstuff_kernel(const stuffing *code, const uint8_t *in, size_t nbytes,
                               uint8_t *out);

/* out has nbytes + nbytes / 254 + 1 octets. Returns octets written. */
typedef size_t cobs_kernel(const uint8_t *in, size_t nbytes, uint8_t *out);

enum { COBS_RUN = 254 };

/* The octet at `at` is a zero: it becomes the next code, and the one before gets its value. */
static inline uint8_t *cobs_zero(uint8_t *code, uint8_t *at)
{
    *code = (uint8_t)(at - code);
    return at;
}

/* Encode the rest of some content: code is the pending code, o where the output goes on. Returns
 * the end of the output. */
uint8_t *cobs_rest(const uint8_t *in, size_t nbytes, uint8_t *code, uint8_t *o);

stuff_kernel stuff_portable, stuff_avx2, stuff_avx512, stuff_neon;
unstuff_kernel unstuff_portable, unstuff_avx512, unstuff_neon;
cobs_kernel cobs_portable, cobs_avx2, cobs_avx512, cobs_neon;

#endif
