/* Calls that take a path: what the overlay shows is opened, looked at and read in here. */
#include "supervisor.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Take the path at `address` and find it; PATH_FOREIGN: the kernel does the call. */
static hil_place find(int directory, uint64_t address, char path[HIL_PATH], char shown[HIL_PATH])
{
    return sv_path_at(directory, address, path) < 0 ? PATH_FOREIGN : hil_find(path, shown);
}

static int64_t result_of(long result)
{
    return result < 0 ? -errno : result;
}

/* --- open --------------------------------------------------------------------------------------- */

static int64_t open_path(int directory, uint64_t address, int flags, mode_t mode)
{
    char path[HIL_PATH], shown[HIL_PATH];
    int fd;
    switch (find(directory, address, path, shown)) {
    case PATH_FOREIGN:
        return GO_ON;
    case PATH_DEVICE:
        return flags & O_DIRECTORY ? -ENOTDIR : sv_open(path, flags & O_CLOEXEC);
    case PATH_LIVE: /* as for a program that knows nothing of the shim: the text is there already */
        fd = hil_live_open(path, shown, flags & ~O_CLOEXEC);
        break;
    default:
        fd = open(shown, flags | O_CLOEXEC | O_NOCTTY, mode);
        fd = fd < 0 ? -errno : fd;
        break;
    }
    if (fd < 0) {
        return fd;
    }
    int64_t number = sv_hand_over(fd, flags & O_CLOEXEC);
    hil_close(fd);
    return number;
}

int64_t sv_openat(const uint64_t *args)
{
    return open_path((int)args[0], args[1], (int)args[2], (mode_t)args[3]);
}

int64_t sv_openat2(const uint64_t *args)
{
    struct open_how how;
    if (args[3] < sizeof how || hil_theirs->fetch(&how, (const void *)(uintptr_t)args[2], sizeof how) < 0) {
        return GO_ON; /* the kernel says what is wrong */
    }
    return open_path((int)args[0], args[1], (int)how.flags, (mode_t)how.mode);
}

int64_t sv_open_1(const uint64_t *args)
{
    return open_path(AT_FDCWD, args[0], (int)args[1], (mode_t)args[2]);
}

int64_t sv_creat(const uint64_t *args)
{
    return open_path(AT_FDCWD, args[0], O_CREAT | O_WRONLY | O_TRUNC, (mode_t)args[1]);
}

/* --- stat and its variants ---------------------------------------------------------------------- */

/* Look at what lies at `shown` for the program's `path`, and give it to the program. */
static int64_t give_status(const char *path, const char *shown, int flags, uint64_t to)
{
    struct stat status;
    bool node = !strncmp(path, "/dev/", 5);
    if (fstatat(AT_FDCWD, shown, &status, node ? flags & ~AT_SYMLINK_NOFOLLOW : flags) < 0) {
        return -errno;
    }
    HIL_DRESS(&status, path);
    return hil_theirs->store((void *)(uintptr_t)to, &status, sizeof status);
}

static int64_t stat_path(int directory, uint64_t address, uint64_t to, int flags)
{
    char path[HIL_PATH], shown[HIL_PATH];
    return find(directory, address, path, shown) == PATH_FOREIGN ? GO_ON : give_status(path, shown, flags, to);
}

/* Of an open device the path is known, and with it where it lies in the overlay. */
static bool device_of(int fd, char path[HIL_PATH], char shown[HIL_PATH])
{
    return sv_device_path(fd, path) && hil_find(path, shown) == PATH_DEVICE;
}

int64_t sv_fstat(const uint64_t *args)
{
    char path[HIL_PATH], shown[HIL_PATH];
    return device_of((int)args[0], path, shown) ? give_status(path, shown, 0, args[1]) : GO_ON;
}

int64_t sv_newfstatat(const uint64_t *args)
{
    char path[HIL_PATH], shown[HIL_PATH];
    int flags = (int)args[3];
    if (flags & AT_EMPTY_PATH && sv_path(args[1], path) == 0 && !*path) {
        return device_of((int)args[0], path, shown) ? give_status(path, shown, 0, args[2]) : GO_ON;
    }
    return stat_path((int)args[0], args[1], args[2], flags & ~AT_EMPTY_PATH);
}

int64_t sv_statx(const uint64_t *args)
{
    char path[HIL_PATH], shown[HIL_PATH];
    struct statx status;
    int flags = (int)args[2];
    bool empty = flags & AT_EMPTY_PATH && sv_path(args[1], path) == 0 && !*path;
    bool ours = empty ? device_of((int)args[0], path, shown) : find((int)args[0], args[1], path, shown) != PATH_FOREIGN;
    if (!ours) {
        return GO_ON;
    }
    bool node = !strncmp(path, "/dev/", 5);
    flags &= node ? ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) : ~AT_EMPTY_PATH;
    if (syscall(SYS_statx, AT_FDCWD, shown, flags, (unsigned)args[3], &status) < 0) {
        return -errno;
    }
    hil_dress(&status, path);
    return hil_theirs->store((void *)(uintptr_t)args[4], &status, sizeof status);
}

int64_t sv_stat(const uint64_t *args)
{
    return stat_path(AT_FDCWD, args[0], args[1], 0);
}

int64_t sv_lstat(const uint64_t *args)
{
    return stat_path(AT_FDCWD, args[0], args[1], AT_SYMLINK_NOFOLLOW);
}

/* --- access, links ------------------------------------------------------------------------------ */

static int64_t access_path(int directory, uint64_t address, int mode, int flags)
{
    char path[HIL_PATH], shown[HIL_PATH];
    bool ours = find(directory, address, path, shown) != PATH_FOREIGN;
    return ours ? result_of(faccessat(AT_FDCWD, shown, mode, flags)) : GO_ON;
}

int64_t sv_faccessat(const uint64_t *args)
{
    return access_path((int)args[0], args[1], (int)args[2], 0);
}

int64_t sv_faccessat2(const uint64_t *args)
{
    return access_path((int)args[0], args[1], (int)args[2], (int)args[3]);
}

int64_t sv_access(const uint64_t *args)
{
    return access_path(AT_FDCWD, args[0], (int)args[1], 0);
}

static int64_t link_at(int directory, uint64_t address, uint64_t to, uint64_t room)
{
    char path[HIL_PATH], shown[HIL_PATH], target[HIL_PATH];
    if (find(directory, address, path, shown) == PATH_FOREIGN) {
        return GO_ON;
    }
    if (!strncmp(path, "/dev/", 5) || !room) {
        return -EINVAL; /* the link to a pseudo-terminal is none for the program */
    }
    ssize_t got = readlink(shown, target, room < sizeof target ? room : sizeof target);
    int error = got < 0 ? -errno : hil_theirs->store((void *)(uintptr_t)to, target, (size_t)got);
    return error ? error : got;
}

int64_t sv_readlinkat(const uint64_t *args)
{
    return link_at((int)args[0], args[1], args[2], args[3]);
}

int64_t sv_readlink(const uint64_t *args)
{
    return link_at(AT_FDCWD, args[0], args[1], args[2]);
}
