/* Folders below /dev and /sys that are there really too: what the overlay adds to them comes with
 * the first entries, as long as they are read from the beginning. No other state is kept. */
#include "supervisor.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ROOM = 32 * 1024 };

/* Gather what the overlay has in `path` and the real folder `fd` has not; returns octets, or a
 * negative errno where they do not fit into `room`. */
static int added_to(int fd, const char *path, uint8_t *entries, size_t room)
{
    char shown[HIL_PATH];
    uint8_t found[ROOM];
    size_t filled = 0;
    if ((size_t)snprintf(shown, sizeof shown, "%s%s", hil_root(), path) >= sizeof shown) {
        return 0;
    }
    int added = open(shown, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long got = added < 0 ? 0 : syscall(SYS_getdents64, added, found, sizeof found);
    close(added);
    for (long at = 0; at < got;) {
        struct dirent64 *entry = (struct dirent64 *)(found + at);
        at += entry->d_reclen;
        if (*entry->d_name == '.' || faccessat(fd, entry->d_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
            continue;
        }
        if (filled + entry->d_reclen > room) {
            return -EINVAL; /* as the kernel says of a buffer that is too small */
        }
        memcpy(entries + filled, entry, entry->d_reclen);
        filled += entry->d_reclen;
    }
    return (int)filled;
}

int64_t sv_getdents64(const uint64_t *args)
{
    char path[HIL_PATH];
    uint8_t entries[ROOM];
    if (!hil_root() || sv_name_of((int)args[0], path, sizeof path) < 0 || !hil_is_shown(path)) {
        return GO_ON;
    }
    int fd = sv_copy((int)args[0]);
    if (fd < 0) {
        return GO_ON;
    }
    size_t room = args[2] < sizeof entries ? args[2] : sizeof entries;
    int before = lseek(fd, 0, SEEK_CUR) == 0 ? added_to(fd, path, entries, room) : 0;
    long got = GO_ON;
    if (before) {
        got = before < 0 ? before : syscall(SYS_getdents64, fd, entries + before, room - (size_t)before);
        got = before > 0 && got < 0 ? -errno : got;
    }
    close(fd);
    if (got == GO_ON || got < 0) {
        return got;
    }
    int error = hil_theirs->store((void *)(uintptr_t)args[1], entries, (size_t)(before + got));
    return error ? error : before + got;
}
