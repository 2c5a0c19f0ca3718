/* Where the buses of this board are: nodes below /dev by their numbers, or as --device says. */
#define _GNU_SOURCE
#include "hilwire.h"
#include "posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { MAPPED = 32, NAME_SIZE = 16 };

static struct {
    const char *name, *path;
    size_t length; /* of the name */
} mapped[MAPPED];
static unsigned nmapped;

void posix_map(const char *assignment)
{
    const char *equals = strchr(assignment, '=');
    if (!equals || equals == assignment || !equals[1])
        posix_die("--device", "takes NAME=PATH, such as i2c1=/dev/i2c-7");
    if (nmapped == MAPPED)
        posix_die("--device", "is given too often");
    mapped[nmapped].name = assignment;
    mapped[nmapped].length = (size_t)(equals - assignment);
    mapped[nmapped++].path = equals + 1;
}

const char *posix_path(const char *name, const char *fallback)
{
    for (unsigned i = 0; i < nmapped; i++)
        if (mapped[i].length == strlen(name) && !memcmp(mapped[i].name, name, mapped[i].length))
            return mapped[i].path;
    return fallback;
}

uint8_t posix_failed(const char *name, const char *what)
{
    int error = errno;
    char text[120];
    snprintf(text, sizeof text, "%s: %s: %s", name, what, strerror(error));
    hw_log(text);
    return HW_ABSENT;
}

int posix_open(const char *name, const char *fallback, int flags)
{
    const char *path = posix_path(name, fallback);
    int fd;
    if (!path) {
        errno = ENODEV;
        path = "no such device; --device names it";
    } else if ((fd = open(path, flags | O_CLOEXEC)) >= 0) {
        return fd;
    }
    posix_failed(name, path);
    return -1;
}
