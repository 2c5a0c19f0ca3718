/* What C functions answer instead of a count. */
#ifndef FLATSAT_ERROR_H
#define FLATSAT_ERROR_H

/* CFFI BEGIN */

enum {
    FS_E_SHORT = -1,    /* input ends inside a structure */
    FS_E_RANGE = -2,    /* a value does not fit its field */
    FS_E_CAPACITY = -3, /* output does not fit the buffer */
    FS_E_FORMAT = -4,   /* a fixed field has a wrong value */
    FS_E_CHECK = -5,    /* a checksum does not match */
};

/* CFFI END */

#endif
