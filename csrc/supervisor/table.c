/* The system calls that the filter asks about. The frequent ones first: the filter tries in turn. */
#include "supervisor.h"

#include <sys/syscall.h>

#define ROW(name, when, answer) {SYS_##name, when, #name, answer}

const sv_row sv_rows[] = {
    ROW(read, WHEN_RESERVED, sv_read),
    ROW(write, WHEN_RESERVED, sv_write),
    ROW(ioctl, WHEN_DEVICE, sv_ioctl),
    ROW(openat, WHEN_ALWAYS, sv_openat),
    ROW(openat2, WHEN_ALWAYS, sv_openat2),
    ROW(newfstatat, WHEN_EMPTY_3, sv_newfstatat),
    ROW(fstat, WHEN_RESERVED, sv_fstat),
    ROW(statx, WHEN_EMPTY_2, sv_statx),
    ROW(faccessat, WHEN_ALWAYS, sv_faccessat),
    ROW(faccessat2, WHEN_ALWAYS, sv_faccessat2),
    ROW(readlinkat, WHEN_ALWAYS, sv_readlinkat),
    ROW(getdents64, WHEN_ALWAYS, sv_getdents64),
    ROW(dup, WHEN_RESERVED, sv_dup),
    ROW(dup3, WHEN_ONTO, sv_dup_to),
    ROW(fcntl, WHEN_DUPLICATE, sv_fcntl),
    ROW(close, WHEN_RESERVED, sv_changes),
    ROW(close_range, WHEN_ALWAYS, sv_changes),
    ROW(clone, WHEN_ALWAYS, sv_changes),
    ROW(clone3, WHEN_ALWAYS, sv_changes),
    ROW(execve, WHEN_ALWAYS, sv_changes),
    ROW(execveat, WHEN_ALWAYS, sv_changes),
    ROW(readv, WHEN_RESERVED, sv_refuse),
    ROW(writev, WHEN_RESERVED, sv_refuse),
    ROW(pread64, WHEN_RESERVED, sv_refuse),
    ROW(pwrite64, WHEN_RESERVED, sv_refuse),
    ROW(preadv, WHEN_RESERVED, sv_refuse),
    ROW(pwritev, WHEN_RESERVED, sv_refuse),
#ifdef __x86_64__
    ROW(open, WHEN_ALWAYS, sv_open_1),
    ROW(creat, WHEN_ALWAYS, sv_creat),
    ROW(stat, WHEN_ALWAYS, sv_stat),
    ROW(lstat, WHEN_ALWAYS, sv_lstat),
    ROW(access, WHEN_ALWAYS, sv_access),
    ROW(readlink, WHEN_ALWAYS, sv_readlink),
    ROW(dup2, WHEN_ONTO, sv_dup_to),
    ROW(fork, WHEN_ALWAYS, sv_changes),
    ROW(vfork, WHEN_ALWAYS, sv_changes),
#endif
};
const unsigned sv_nrows = sizeof sv_rows / sizeof *sv_rows;
