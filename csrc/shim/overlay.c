/* What a program finds below /dev and /sys: the overlay of the bench on top of the real thing. */
#include "shim.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static const struct {
    const char *prefix;
    hil_device device;
    unsigned major; /* Documentation/admin-guide/devices.txt; of gpiochips it is chosen at run time */
} DEVICES[] = {
    {"/dev/i2c-", DEVICE_I2C, 89},
    {"/dev/spidev", DEVICE_SPI, 153},
    {"/dev/gpiochip", DEVICE_CHIP, 254},
};
#define NDEVICES (sizeof DEVICES / sizeof *DEVICES)

static int row_of(const char *path)
{
    for (unsigned i = 0; i < NDEVICES; i++) {
        if (!strncmp(path, DEVICES[i].prefix, strlen(DEVICES[i].prefix))) {
            return (int)i;
        }
    }
    return -1;
}

hil_device hil_device_of(const char *path)
{
    int row = row_of(path);
    return row < 0 ? DEVICE_NONE : DEVICES[row].device;
}

/* Return the device number of a device file; of spidevB.C the minor is 16 B + C. */
uint64_t hil_number_of(const char *path)
{
    int row = row_of(path);
    if (row < 0) {
        return 0;
    }
    char *dot;
    unsigned long minor = strtoul(path + strlen(DEVICES[row].prefix), &dot, 10);
    if (*dot == '.') {
        minor = minor * 16 + strtoul(dot + 1, NULL, 10);
    }
    return makedev(DEVICES[row].major, minor);
}

hil_place hil_find(const char *path, char shown[HIL_PATH])
{
    if (!path || (strncmp(path, "/dev", 4) && strncmp(path, "/sys", 4))) {
        return PATH_FOREIGN;
    }
    const char *root = hil_root();
    if (!root || (size_t)snprintf(shown, HIL_PATH, "%s%s", root, path) >= HIL_PATH) {
        return PATH_FOREIGN;
    }
    struct statx found;
    int before = errno;
    if (syscall(SYS_statx, AT_FDCWD, shown, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &found) < 0) {
        errno = before;
        return PATH_FOREIGN;
    }
    if (S_ISDIR(found.stx_mode)) {
        return PATH_FOREIGN; /* both are shown: see opendir */
    }
    bool device = S_ISREG(found.stx_mode) && row_of(path) >= 0;
    return device ? PATH_DEVICE : PATH_FILE;
}

/* A folder that is only in the overlay is taken from there. */
static const char *place_of(const char *path, char shown[HIL_PATH])
{
    hil_place place = hil_find(path, shown);
    if (place != PATH_FOREIGN) {
        return shown;
    }
    if (path && hil_root() && (!strncmp(path, "/sys/", 5) || !strncmp(path, "/dev/", 5))) {
        struct statx found;
        int before = errno;
        bool absent = syscall(SYS_statx, AT_FDCWD, path, 0, STATX_TYPE, &found) < 0;
        bool ours = absent && syscall(SYS_statx, AT_FDCWD, shown, 0, STATX_TYPE, &found) == 0;
        errno = before;
        return ours ? shown : path;
    }
    return path;
}

/* --- stat and its variants ---------------------------------------------------------------------- */

/* Nobody is to see that a device is a file in the overlay, or that a tty is a link to a pty. */
#define DRESS(status, path)                                         \
    do {                                                            \
        if (hil_device_of(path)) {                                  \
            (status)->st_mode = S_IFCHR | 0660;                     \
            (status)->st_rdev = hil_number_of(path);                \
            (status)->st_size = 0;                                  \
        }                                                           \
    } while (0)

#define STAT(name, follow, type)                                              \
    HIL_EXPORT int name(const char *path, struct type *status)                \
    {                                                                         \
        HIL_REAL(name, int (*)(const char *, struct type *))                  \
        HIL_REAL_AS(follow, follows, int (*)(const char *, struct type *))    \
        char shown[HIL_PATH];                                                 \
        const char *there = place_of(path, shown);                            \
        bool node = there == shown && !strncmp(path, "/dev/", 5);             \
        int result = (node && follows ? follows : real)(there, status);       \
        if (node && result == 0) {                                            \
            DRESS(status, path);                                              \
        }                                                                     \
        return result;                                                        \
    }
#define XSTAT(name, type)                                                     \
    HIL_EXPORT int name(int version, const char *path, struct type *status);  \
    HIL_EXPORT int name(int version, const char *path, struct type *status)   \
    {                                                                         \
        HIL_REAL(name, int (*)(int, const char *, struct type *))             \
        char shown[HIL_PATH];                                                 \
        const char *there = place_of(path, shown);                            \
        int result = real(version, there, status);                            \
        if (result == 0 && there == shown) {                                  \
            DRESS(status, path);                                              \
        }                                                                     \
        return result;                                                        \
    }
#define STATAT(name, type)                                                               \
    HIL_EXPORT int name(int directory, const char *path, struct type *status, int flags) \
    {                                                                                    \
        HIL_REAL(name, int (*)(int, const char *, struct type *, int))                   \
        char shown[HIL_PATH];                                                            \
        const char *there = place_of(path, shown);                                       \
        bool node = there == shown && !strncmp(path, "/dev/", 5);                        \
        int result = real(directory, there, status, node ? flags & ~AT_SYMLINK_NOFOLLOW : flags); \
        if (result == 0 && node) {                                                       \
            DRESS(status, path);                                                         \
        }                                                                                \
        return result;                                                                   \
    }
#define FSTAT(name, type)                                                     \
    HIL_EXPORT int name(int fd, struct type *status)                          \
    {                                                                         \
        HIL_REAL(name, int (*)(int, struct type *))                           \
        hil_handle *handle = hil_of(fd);                                      \
        int result = real(fd, status);                                        \
        if (result == 0 && handle && handle->device != DEVICE_LINE) {         \
            DRESS(status, handle->path);                                      \
        }                                                                     \
        return result;                                                        \
    }

STAT(stat, stat, stat)
STAT(lstat, stat, stat)
STAT(stat64, stat64, stat64)
STAT(lstat64, stat64, stat64)
XSTAT(__xstat, stat)
XSTAT(__lxstat, stat)
XSTAT(__xstat64, stat64)
XSTAT(__lxstat64, stat64)
STATAT(fstatat, stat)
STATAT(fstatat64, stat64)
FSTAT(fstat, stat)
FSTAT(fstat64, stat64)

HIL_EXPORT int statx(int directory, const char *path, int flags, unsigned mask, struct statx *status)
{
    HIL_REAL(statx, int (*)(int, const char *, int, unsigned, struct statx *))
    char shown[HIL_PATH];
    const char *there = place_of(path, shown);
    bool node = there == shown && !strncmp(path, "/dev/", 5);
    int result = real(directory, there, node ? flags & ~AT_SYMLINK_NOFOLLOW : flags, mask, status);
    hil_handle *handle = flags & AT_EMPTY_PATH && !*path ? hil_of(directory) : NULL;
    const char *name = handle ? handle->path : path;
    if (result == 0 && (node || handle) && hil_device_of(name)) {
        uint64_t number = hil_number_of(name);
        status->stx_mode = S_IFCHR | 0660;
        status->stx_rdev_major = major(number);
        status->stx_rdev_minor = minor(number);
        status->stx_size = 0;
    }
    return result;
}

/* --- access, links ------------------------------------------------------------------------------ */

#define ACCESS(name)                                          \
    HIL_EXPORT int name(const char *path, int mode)           \
    {                                                         \
        HIL_REAL(name, int (*)(const char *, int))            \
        char shown[HIL_PATH];                                 \
        return real(place_of(path, shown), mode);             \
    }
ACCESS(access)
ACCESS(eaccess)
ACCESS(euidaccess)

HIL_EXPORT int faccessat(int directory, const char *path, int mode, int flags)
{
    HIL_REAL(faccessat, int (*)(int, const char *, int, int))
    char shown[HIL_PATH];
    return real(directory, place_of(path, shown), mode, flags);
}

HIL_EXPORT ssize_t readlink(const char *path, char *target, size_t room)
{
    HIL_REAL(readlink, ssize_t(*)(const char *, char *, size_t))
    char shown[HIL_PATH];
    const char *there = place_of(path, shown);
    if (there == shown && !strncmp(path, "/dev/", 5)) {
        return hil_result(-EINVAL);
    }
    return real(there, target, room);
}

HIL_EXPORT ssize_t readlinkat(int directory, const char *path, char *target, size_t room)
{
    HIL_REAL(readlinkat, ssize_t(*)(int, const char *, char *, size_t))
    char shown[HIL_PATH];
    return place_of(path, shown) == shown ? readlink(path, target, room) : real(directory, path, target, room);
}

HIL_EXPORT char *realpath(const char *path, char *resolved)
{
    HIL_REAL(realpath, char *(*)(const char *, char *))
    char shown[HIL_PATH];
    const char *there = place_of(path, shown);
    if (there == shown && !strncmp(path, "/dev/", 5)) {
        return resolved ? strcpy(resolved, path) : strdup(path);
    }
    char *found = real(there, resolved);
    const char *root = hil_root();
    if (found && there == shown && !strncmp(found, root, strlen(root))) {
        memmove(found, found + strlen(root), strlen(found) - strlen(root) + 1);
    }
    return found;
}

HIL_EXPORT char *__realpath_chk(const char *path, char *resolved, size_t room);
HIL_EXPORT char *__realpath_chk(const char *path, char *resolved, size_t room)
{
    return room < PATH_MAX ? (abort(), NULL) : realpath(path, resolved);
}
