/* What a program finds below /dev and /sys: stat, access and links. find.c says where a path leads. */
#include "shim.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Where to look for `path`, which is made absolute where it leads below what is shown. */
static const char *place_of(int directory, const char **path, char made[HIL_PATH], char shown[HIL_PATH])
{
    *path = hil_absolute(directory, *path, made);
    return hil_find(*path, shown) == PATH_FOREIGN ? *path : shown;
}

/* --- stat and its variants ---------------------------------------------------------------------- */

#define STAT(name, follow, type)                                              \
    HIL_EXPORT int name(const char *path, struct type *status)                \
    {                                                                         \
        HIL_REAL(name, int (*)(const char *, struct type *))                  \
        HIL_REAL_AS(follow, follows, int (*)(const char *, struct type *))    \
        char made[HIL_PATH], shown[HIL_PATH];                                 \
        const char *there = place_of(AT_FDCWD, &path, made, shown);           \
        bool node = there == shown && !strncmp(path, "/dev/", 5);             \
        int result = (node && follows ? follows : real)(there, status);       \
        if (there == shown && result == 0) {                                  \
            HIL_DRESS(status, path);                                          \
        }                                                                     \
        return result;                                                        \
    }
#define XSTAT(name, type)                                                     \
    HIL_EXPORT int name(int version, const char *path, struct type *status);  \
    HIL_EXPORT int name(int version, const char *path, struct type *status)   \
    {                                                                         \
        HIL_REAL(name, int (*)(int, const char *, struct type *))             \
        char made[HIL_PATH], shown[HIL_PATH];                                 \
        const char *there = place_of(AT_FDCWD, &path, made, shown);           \
        int result = real(version, there, status);                            \
        if (result == 0 && there == shown) {                                  \
            HIL_DRESS(status, path);                                          \
        }                                                                     \
        return result;                                                        \
    }
#define STATAT(name, type)                                                               \
    HIL_EXPORT int name(int directory, const char *path, struct type *status, int flags) \
    {                                                                                    \
        HIL_REAL(name, int (*)(int, const char *, struct type *, int))                   \
        char made[HIL_PATH], shown[HIL_PATH];                                            \
        const char *there = place_of(directory, &path, made, shown);                     \
        bool node = there == shown && !strncmp(path, "/dev/", 5);                        \
        int result = real(directory, there, status, node ? flags & ~AT_SYMLINK_NOFOLLOW : flags); \
        if (result == 0 && there == shown) {                                             \
            HIL_DRESS(status, path);                                                     \
        }                                                                                \
        return result;                                                                   \
    }
#define FSTAT(name, by_name, type)                                            \
    HIL_EXPORT int name(int fd, struct type *status)                          \
    {                                                                         \
        HIL_REAL(name, int (*)(int, struct type *))                           \
        hil_handle *handle = hil_of(fd);                                      \
        if (handle && handle->device == DEVICE_ATTRIBUTE) {                   \
            return by_name(handle->path, status);                             \
        }                                                                     \
        int result = real(fd, status);                                        \
        if (result == 0 && handle && handle->device != DEVICE_LINE) {         \
            HIL_DRESS(status, handle->path);                                  \
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
FSTAT(fstat, stat, stat)
FSTAT(fstat64, stat64, stat64)

HIL_EXPORT int statx(int directory, const char *path, int flags, unsigned mask, struct statx *status)
{
    HIL_REAL(statx, int (*)(int, const char *, int, unsigned, struct statx *))
    hil_handle *handle = flags & AT_EMPTY_PATH && !*path ? hil_of(directory) : NULL;
    if (handle && handle->device == DEVICE_ATTRIBUTE) {
        return statx(AT_FDCWD, handle->path, flags, mask, status);
    }
    char made[HIL_PATH], shown[HIL_PATH];
    const char *there = place_of(directory, &path, made, shown);
    bool node = there == shown && !strncmp(path, "/dev/", 5);
    int result = real(directory, there, node ? flags & ~AT_SYMLINK_NOFOLLOW : flags, mask, status);
    const char *name = handle ? handle->path : path;
    if (result == 0 && (there == shown || handle)) {
        hil_dress(status, name);
    }
    return result;
}

/* --- access, links ------------------------------------------------------------------------------ */

#define ACCESS(name)                                                             \
    HIL_EXPORT int name(const char *path, int mode)                              \
    {                                                                            \
        HIL_REAL(name, int (*)(const char *, int))                               \
        char made[HIL_PATH], shown[HIL_PATH];                                    \
        return real(place_of(AT_FDCWD, &path, made, shown), mode);               \
    }
ACCESS(access)
ACCESS(eaccess)
ACCESS(euidaccess)

HIL_EXPORT int faccessat(int directory, const char *path, int mode, int flags)
{
    HIL_REAL(faccessat, int (*)(int, const char *, int, int))
    char made[HIL_PATH], shown[HIL_PATH];
    return real(directory, place_of(directory, &path, made, shown), mode, flags);
}

/* Nothing that is shown has attributes of that sort; the files that stand for it might. */
#define GETXATTR(name)                                                           \
    HIL_EXPORT ssize_t name(const char *path, const char *key, void *value, size_t room) \
    {                                                                            \
        HIL_REAL(name, ssize_t(*)(const char *, const char *, void *, size_t))   \
        char made[HIL_PATH], shown[HIL_PATH];                                    \
        bool ours = place_of(AT_FDCWD, &path, made, shown) == shown;             \
        return ours ? hil_result(-ENODATA) : real(path, key, value, room);       \
    }
#define LISTXATTR(name)                                                          \
    HIL_EXPORT ssize_t name(const char *path, char *list, size_t room)           \
    {                                                                            \
        HIL_REAL(name, ssize_t(*)(const char *, char *, size_t))                 \
        char made[HIL_PATH], shown[HIL_PATH];                                    \
        bool ours = place_of(AT_FDCWD, &path, made, shown) == shown;             \
        return ours ? 0 : real(path, list, room);                                \
    }
GETXATTR(getxattr)
GETXATTR(lgetxattr)
LISTXATTR(listxattr)
LISTXATTR(llistxattr)

HIL_EXPORT ssize_t readlink(const char *path, char *target, size_t room)
{
    HIL_REAL(readlink, ssize_t(*)(const char *, char *, size_t))
    char made[HIL_PATH], shown[HIL_PATH];
    const char *there = place_of(AT_FDCWD, &path, made, shown);
    if (there == shown && !strncmp(path, "/dev/", 5)) {
        return hil_result(-EINVAL);
    }
    return real(there, target, room);
}

HIL_EXPORT ssize_t readlinkat(int directory, const char *path, char *target, size_t room)
{
    HIL_REAL(readlinkat, ssize_t(*)(int, const char *, char *, size_t))
    char made[HIL_PATH], shown[HIL_PATH];
    return place_of(directory, &path, made, shown) == shown ? readlink(path, target, room)
                                                            : real(directory, path, target, room);
}

HIL_EXPORT char *realpath(const char *path, char *resolved)
{
    HIL_REAL(realpath, char *(*)(const char *, char *))
    char made[HIL_PATH], shown[HIL_PATH];
    const char *there = place_of(AT_FDCWD, &path, made, shown);
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
