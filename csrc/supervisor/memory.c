/* Memory of a program whose call we work on, in its own process. */
#include "supervisor.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

/* A process that is gone may have left its number to another one: its call is still waiting, or
 * what was read is none of ours and nothing may be written. */
static bool waiting(void)
{
    return ioctl(sv_listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &sv_now.id) == 0;
}

static int copy_in(void *here, const void *there, size_t nbytes)
{
    struct iovec own = {here, nbytes}, other = {(void *)there, nbytes};
    ssize_t got = process_vm_readv(sv_now.thread, &own, 1, &other, 1, 0);
    return got == (ssize_t)nbytes && waiting() ? 0 : -EFAULT;
}

/* Structs that point to one another lie side by side more often than not, and what a copy costs is
 * the way there: a page is copied whole, and kept for the rest of the call. */
static int fetch(void *here, const void *there, size_t nbytes)
{
    static _Thread_local struct {
        uint64_t id;
        uintptr_t begin;
        uint8_t octets[SV_PAGE];
    } page;
    uintptr_t at = (uintptr_t)there % SV_PAGE, begin = (uintptr_t)there - at;
    if (nbytes == 0) {
        return 0;
    }
    if (nbytes > SV_PAGE - at) {
        return copy_in(here, there, nbytes);
    }
    if (page.id != sv_now.id || page.begin != begin) {
        page.id = 0;
        if (copy_in(page.octets, (const void *)begin, sizeof page.octets) < 0) {
            return -EFAULT;
        }
        page.id = sv_now.id;
        page.begin = begin;
    }
    memcpy(here, page.octets + at, nbytes);
    return 0;
}

static int store(void *there, const void *here, size_t nbytes)
{
    struct iovec own = {(void *)here, nbytes}, other = {there, nbytes};
    if (nbytes == 0) {
        return 0;
    }
    return waiting() && process_vm_writev(sv_now.thread, &own, 1, &other, 1, 0) == (ssize_t)nbytes ? 0 : -EFAULT;
}

const hil_memory sv_memory = {fetch, store};

int sv_path(uint64_t address, char path[HIL_PATH])
{
    size_t first = SV_PAGE - address % SV_PAGE; /* what lies behind the end of a path may not be there */
    first = first < HIL_PATH ? first : HIL_PATH;
    struct iovec own = {path, HIL_PATH};
    struct iovec other[2] = {{(void *)(uintptr_t)address, first},
                             {(void *)(uintptr_t)(address + first), HIL_PATH - first}};
    ssize_t got = process_vm_readv(sv_now.thread, &own, 1, other, first < HIL_PATH ? 2 : 1, 0);
    if (got <= 0) {
        return -EFAULT;
    }
    if (!memchr(path, 0, (size_t)got)) {
        return -ENAMETOOLONG;
    }
    return waiting() ? 0 : -EFAULT;
}

int sv_path_at(int directory, uint64_t address, char path[HIL_PATH])
{
    char tail[HIL_PATH], link[64];
    int result = sv_path(address, path);
    if (result < 0 || *path == '/') {
        return result;
    }
    memcpy(tail, path, HIL_PATH);
    if (directory == AT_FDCWD) {
        snprintf(link, sizeof link, "/proc/%d/cwd", (int)sv_now.thread);
    } else {
        snprintf(link, sizeof link, "/proc/%d/fd/%d", (int)sv_now.thread, directory);
    }
    ssize_t head = readlink(link, path, HIL_PATH - 1);
    if (head <= 0 || !*tail) {
        return -ENOENT;
    }
    path[head] = 0;
    hil_strip(path);
    head = (ssize_t)strlen(path);
    return (size_t)snprintf(path + head, HIL_PATH - (size_t)head, "/%s", tail) < HIL_PATH - (size_t)head
               ? 0
               : -ENAMETOOLONG;
}
