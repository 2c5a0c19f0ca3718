/* Calls on descriptors: open and its variants, close, duplicates, read, write, ioctl. */
#include "shim.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_close_range /* libc and headers older than Linux 5.9 */
#define SYS_close_range 436
#endif
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4
#endif

typedef int (*open_type)(const char *, int, ...);
typedef int (*openat_type)(int, const char *, int, ...);

/* Open what `path` stands for: a device of the bench, a file of its overlay, or what it names. */
static int open_with(open_type real, const char *path, int flags, mode_t mode)
{
    char made[HIL_PATH], shown[HIL_PATH];
    path = hil_absolute(AT_FDCWD, path, made);
    switch (hil_find(path, shown)) {
    case PATH_LIVE:
        return hil_result(hil_live_open(path, shown, flags));
    case PATH_DEVICE:
        if (flags & O_DIRECTORY) {
            return hil_result(-ENOTDIR);
        }
        {
            int fd = hil_connect(path, hil_device_of(path));
            if (fd >= 0 && !(flags & O_CLOEXEC)) {
                fcntl(fd, F_SETFD, 0);
            }
            return fd;
        }
    case PATH_FILE: {
        int fd = real(shown, flags, mode);
        return strncmp(path, "/dev/", 5) ? fd : hil_clock_mark(fd, MARK_BENCH); /* a tty */
    }
    default:
        return real(path, flags, mode);
    }
}

static mode_t mode_of(int flags, va_list rest)
{
    return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(rest, mode_t) : 0;
}

#define OPEN(name)                                       \
    HIL_EXPORT int name(const char *path, int flags, ...) \
    {                                                    \
        HIL_REAL(name, open_type)                        \
        va_list rest;                                    \
        va_start(rest, flags);                           \
        mode_t mode = mode_of(flags, rest);              \
        va_end(rest);                                    \
        return open_with(real, path, flags, mode);       \
    }
#define OPEN_2(name)                                   \
    HIL_EXPORT int name(const char *path, int flags);  \
    HIL_EXPORT int name(const char *path, int flags)   \
    {                                                  \
        HIL_REAL(name, open_type)                      \
        return open_with(real, path, flags, 0);        \
    }
#define OPENAT(name)                                                                        \
    HIL_EXPORT int name(int directory, const char *path, int flags, ...)                    \
    {                                                                                       \
        HIL_REAL(name, openat_type)                                                         \
        char made[HIL_PATH], shown[HIL_PATH];                                               \
        va_list rest;                                                                       \
        va_start(rest, flags);                                                              \
        mode_t mode = mode_of(flags, rest);                                                 \
        va_end(rest);                                                                       \
        const char *whole = hil_absolute(directory, path, made);                            \
        return hil_find(whole, shown) == PATH_FOREIGN ? real(directory, path, flags, mode)  \
                                                      : open(whole, flags, mode);           \
    }
#define OPENAT_2(name)                                                                      \
    HIL_EXPORT int name(int directory, const char *path, int flags);                        \
    HIL_EXPORT int name(int directory, const char *path, int flags)                         \
    {                                                                                       \
        return openat(directory, path, flags);                                              \
    }

OPEN(open)
OPEN(open64)
OPEN_2(__open_2)
OPEN_2(__open64_2)
OPENAT(openat)
OPENAT(openat64)
OPENAT_2(__openat_2)
OPENAT_2(__openat64_2)

#define FOPEN(name)                                                           \
    HIL_EXPORT FILE *name(const char *path, const char *mode)                 \
    {                                                                         \
        HIL_REAL(name, FILE * (*)(const char *, const char *))                \
        char made[HIL_PATH], shown[HIL_PATH];                                 \
        path = hil_absolute(AT_FDCWD, path, made);                            \
        switch (hil_find(path, shown)) {                                      \
        case PATH_LIVE:                                                       \
        case PATH_DEVICE:                                                     \
            return hil_fopen(path, mode);                                     \
        case PATH_FILE:                                                       \
            return real(shown, mode);                                         \
        default:                                                              \
            return real(path, mode);                                          \
        }                                                                     \
    }
FOPEN(fopen)
FOPEN(fopen64)

HIL_EXPORT int close(int fd)
{
    HIL_REAL(close, int (*)(int))
    if (hil_clock_marked(fd) == MARK_HIDDEN) {
        return hil_result(-EBADF);
    }
    hil_clock_mark(fd, MARK_NONE);
    hil_forget(fd);
    return real(fd);
}

/* As close on each of them; what nobody is to close is passed over. */
HIL_EXPORT int close_range(unsigned first, unsigned last, int flags);
HIL_EXPORT int close_range(unsigned first, unsigned last, int flags)
{
    bool closes = !(flags & CLOSE_RANGE_CLOEXEC) && first <= last;
    if (!closes || (syscall(SYS_close_range, 1u, 0u, 0) < 0 && errno == ENOSYS)) {
        return (int)syscall(SYS_close_range, first, last, flags);
    }
    for (unsigned fd = first; fd <= last && fd < HIL_DESCRIPTORS; fd++) {
        if (hil_clock_marked((int)fd) == MARK_HIDDEN) {
            if (fd > first) {
                syscall(SYS_close_range, first, fd - 1, flags);
            }
            first = fd + 1;
        } else {
            hil_clock_mark((int)fd, MARK_NONE);
            hil_forget((int)fd);
        }
    }
    return first <= last ? (int)syscall(SYS_close_range, first, last, flags) : 0;
}

HIL_EXPORT void closefrom(int first);
HIL_EXPORT void closefrom(int first)
{
    HIL_REAL(closefrom, void (*)(int))
    int before = errno;
    if (close_range(first < 0 ? 0 : (unsigned)first, ~0u, 0) < 0) {
        real(first);
    }
    errno = before;
}

HIL_EXPORT int dup(int fd)
{
    HIL_REAL(dup, int (*)(int))
    int fresh = real(fd);
    hil_share(fd, fresh);
    return fresh;
}

HIL_EXPORT int dup2(int fd, int target)
{
    HIL_REAL(dup2, int (*)(int, int))
    int fresh = real(fd, target);
    hil_share(fd, fresh);
    return fresh;
}

HIL_EXPORT int dup3(int fd, int target, int flags)
{
    HIL_REAL(dup3, int (*)(int, int, int))
    int fresh = real(fd, target, flags);
    hil_share(fd, fresh);
    return fresh;
}

#define FCNTL(name)                                                          \
    HIL_EXPORT int name(int fd, int command, ...)                            \
    {                                                                        \
        HIL_REAL(name, int (*)(int, int, ...))                               \
        va_list rest;                                                        \
        va_start(rest, command);                                             \
        void *argument = va_arg(rest, void *);                               \
        va_end(rest);                                                        \
        int result = real(fd, command, argument);                            \
        if (result >= 0 && (command == F_DUPFD || command == F_DUPFD_CLOEXEC)) { \
            hil_share(fd, result);                                           \
        }                                                                    \
        return result;                                                       \
    }
FCNTL(fcntl)
FCNTL(fcntl64)

HIL_EXPORT ssize_t read(int fd, void *octets, size_t nbytes)
{
    HIL_REAL(read, ssize_t(*)(int, void *, size_t))
    hil_handle *handle = hil_of(fd);
    bool plain = !handle || hil_gpio_readable(handle, nbytes);
    if (plain) {
        hil_clock_await_input(fd);
    }
    return plain ? real(fd, octets, nbytes) : hil_result((int)hil_read(handle, fd, octets, nbytes));
}

HIL_EXPORT ssize_t __read_chk(int fd, void *octets, size_t nbytes, size_t room);
HIL_EXPORT ssize_t __read_chk(int fd, void *octets, size_t nbytes, size_t room)
{
    HIL_REAL(__read_chk, ssize_t(*)(int, void *, size_t, size_t))
    hil_handle *handle = nbytes <= room ? hil_of(fd) : NULL;
    bool plain = !handle || hil_gpio_readable(handle, nbytes);
    if (plain) {
        hil_clock_await_input(fd);
    }
    return plain ? real(fd, octets, nbytes, room) : hil_result((int)hil_read(handle, fd, octets, nbytes));
}

/* Other devices have no places: their reads at one go to the descriptor itself, which says ESPIPE. */
#define PREAD(name)                                                                         \
    HIL_EXPORT ssize_t name(int fd, void *octets, size_t nbytes, off_t at)                  \
    {                                                                                       \
        HIL_REAL(name, ssize_t(*)(int, void *, size_t, off_t))                              \
        hil_handle *handle = hil_of(fd);                                                    \
        bool live = handle && handle->device == DEVICE_ATTRIBUTE && at >= 0;                \
        return live ? hil_result((int)hil_live_read(handle, fd, octets, nbytes, at))        \
                    : real(fd, octets, nbytes, at);                                         \
    }
#define PREAD_CHK(name, plain)                                                              \
    HIL_EXPORT ssize_t name(int fd, void *octets, size_t nbytes, off_t at, size_t room);    \
    HIL_EXPORT ssize_t name(int fd, void *octets, size_t nbytes, off_t at, size_t room)     \
    {                                                                                       \
        return nbytes > room ? (abort(), -1) : plain(fd, octets, nbytes, at);               \
    }
PREAD(pread)
PREAD(pread64)
PREAD_CHK(__pread_chk, pread)
PREAD_CHK(__pread64_chk, pread64)

#define PWRITE(name)                                                                        \
    HIL_EXPORT ssize_t name(int fd, const void *octets, size_t nbytes, off_t at)            \
    {                                                                                       \
        HIL_REAL(name, ssize_t(*)(int, const void *, size_t, off_t))                        \
        hil_handle *handle = hil_of(fd);                                                    \
        bool live = handle && handle->device == DEVICE_ATTRIBUTE;                           \
        return live ? hil_result((int)hil_live_write(handle, fd, octets, nbytes))           \
                    : real(fd, octets, nbytes, at);                                         \
    }
PWRITE(pwrite)
PWRITE(pwrite64)

HIL_EXPORT ssize_t write(int fd, const void *octets, size_t nbytes)
{
    HIL_REAL(write, ssize_t(*)(int, const void *, size_t))
    hil_handle *handle = hil_of(fd);
    return handle ? hil_result((int)hil_write(handle, fd, octets, nbytes)) : real(fd, octets, nbytes);
}

/* Some callers pass the number sign-extended; the kernel looks at 32 bits of it. */
HIL_EXPORT int ioctl(int fd, unsigned long wide, ...)
{
    HIL_REAL(ioctl, int (*)(int, unsigned long, ...))
    va_list rest;
    va_start(rest, wide);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    hil_handle *handle = hil_of(fd);
    bool plain = !handle || handle->device == DEVICE_ATTRIBUTE; /* a file: FIONREAD and the like */
    return plain ? real(fd, wide, argument) : hil_result(hil_ioctl(handle, fd, (uint32_t)wide, argument));
}
