/* Where a path leads: the overlay of the bench, on top of the real thing. No hook, no state.
 *
 * The overlay's own marks are sticky bits, which nothing below /dev and /sys has: a file with one is
 * a live attribute, whose text the bench makes at each read; a folder with one hides the real folder
 * of that name, which otherwise shows through. */
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

/* What an overlay may show. Everything else is the host's, and costs no look. */
static const char *const SHOWN[] = {"/dev/",          "/sys/",    "/proc/device-tree",
                                    "/proc/cpuinfo", "/etc/nv_", "/etc/nvpmodel.conf",
                                    "/var/lib/nvpmodel"};

bool hil_is_shown(const char *path)
{
    if (!strcmp(path, "/dev") || !strcmp(path, "/sys")) {
        return true;
    }
    for (unsigned i = 0; i < sizeof SHOWN / sizeof *SHOWN; i++) {
        if (!strncmp(path, SHOWN[i], strlen(SHOWN[i]))) {
            return true;
        }
    }
    return false;
}

static int look(const char *path, int flags, struct statx *found)
{
    int before = errno;
    int result = (int)syscall(SYS_statx, AT_FDCWD, path, flags, STATX_TYPE | STATX_MODE, found);
    errno = before;
    return result;
}

unsigned hil_mode_of(const char *shown)
{
    struct statx found;
    return look(shown, 0, &found) == 0 ? found.stx_mode : 0;
}

/* Tell whether a folder on the way to `shown`, which is not in the overlay, hides the real one. */
static bool hidden(const char *shown, size_t root)
{
    char way[HIL_PATH];
    struct statx found;
    snprintf(way, sizeof way, "%s", shown);
    for (char *slash; (slash = strrchr(way, '/')) && (size_t)(slash - way) > root;) {
        *slash = 0;
        if (look(way, 0, &found) == 0) {
            return S_ISDIR(found.stx_mode) && found.stx_mode & S_ISVTX;
        }
    }
    return false;
}

hil_place hil_find(const char *path, char shown[HIL_PATH])
{
    struct statx found;
    if (!path || !hil_is_shown(path)) {
        return PATH_FOREIGN;
    }
    const char *root = hil_root();
    if (!root || (size_t)snprintf(shown, HIL_PATH, "%s%s", root, path) >= HIL_PATH) {
        return PATH_FOREIGN;
    }
    if (look(shown, AT_SYMLINK_NOFOLLOW, &found) < 0) {
        return hidden(shown, strlen(root)) ? PATH_FILE : PATH_FOREIGN;
    }
    bool link = S_ISLNK(found.stx_mode) && strncmp(path, "/dev/", 5);
    if (link && look(shown, 0, &found) < 0) {
        return PATH_FILE;
    }
    if (S_ISDIR(found.stx_mode)) {
        bool whole = link || found.stx_mode & S_ISVTX || look(path, 0, &found) < 0;
        return whole ? PATH_FILE : PATH_FOREIGN; /* both are shown: see opendir */
    }
    if (S_ISREG(found.stx_mode) && found.stx_mode & S_ISVTX) {
        return PATH_LIVE;
    }
    return S_ISREG(found.stx_mode) && row_of(path) >= 0 ? PATH_DEVICE : PATH_FILE;
}

void hil_dress(struct statx *status, const char *path)
{
    uint64_t number = hil_number_of(path);
    if (hil_device_of(path)) {
        status->stx_mode = S_IFCHR | 0660;
        status->stx_rdev_major = major(number);
        status->stx_rdev_minor = minor(number);
        status->stx_size = 0;
    } else {
        status->stx_mode &= (uint16_t)~S_ISVTX;
        bool page = S_ISREG(status->stx_mode) && !strncmp(path, "/sys/", 5);
        status->stx_size = page ? HIL_PAGE : status->stx_size;
        status->stx_blocks = page ? HIL_PAGE / 512 : status->stx_blocks;
    }
}

/* --- names that are relative to a folder ----------------------------------------------------------- */

static _Atomic bool among_shown; /* whether the working folder is one that an overlay may show */

void hil_strip(char *name)
{
    const char *root = hil_root();
    size_t head = strlen(root);
    if (!strncmp(name, root, head) && (name[head] == '/' || !name[head])) {
        memmove(name, name + head, strlen(name + head) + 1);
    }
}

ssize_t hil_here(char *name, size_t room)
{
    ssize_t nbytes = syscall(SYS_getcwd, name, room);
    if (nbytes > 0 && hil_root()) {
        hil_strip(name);
        return (ssize_t)strlen(name) + 1;
    }
    return nbytes;
}

void hil_moved(void)
{
    char here[HIL_PATH];
    int before = errno;
    atomic_store(&among_shown, hil_root() && hil_here(here, sizeof here) > 0 && hil_is_shown(here));
    errno = before;
}

/* Write the name of an open folder, as the program sees it; false if there is none that is shown. */
bool hil_folder_of(int fd, char name[HIL_PATH])
{
    char link[32];
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t nbytes = syscall(SYS_readlinkat, AT_FDCWD, link, name, HIL_PATH - 1);
    errno = before;
    if (nbytes <= 0) {
        return false;
    }
    name[nbytes] = 0;
    hil_strip(name);
    return hil_is_shown(name);
}

const char *hil_absolute(int directory, const char *path, char made[HIL_PATH])
{
    if (!path || *path == '/' || !*path || !hil_root()) {
        return path;
    }
    if (directory == AT_FDCWD ? !among_shown || hil_here(made, HIL_PATH) <= 0
                              : !hil_folder_of(directory, made)) {
        return path;
    }
    size_t head = strlen(made);
    int tail = snprintf(made + head, HIL_PATH - head, "/%s", path);
    return (size_t)tail < HIL_PATH - head ? made : path;
}
