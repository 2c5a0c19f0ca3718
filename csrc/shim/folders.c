/* Folders below /dev and /sys: the real one first, then what the overlay adds to it. */
#include "shim.h"

#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
    DIR *real, *added;
} both[16];
static pthread_mutex_t both_lock = PTHREAD_MUTEX_INITIALIZER;

/* Whoever held the lock is not there in the child of a fork. */
static void forked(void)
{
    pthread_mutex_init(&both_lock, NULL);
}

__attribute__((constructor)) static void begin(void)
{
    pthread_atfork(NULL, NULL, forked);
}

static DIR *added_to(DIR *directory, bool forget)
{
    DIR *added = NULL;
    pthread_mutex_lock(&both_lock);
    for (unsigned i = 0; i < sizeof both / sizeof *both; i++) {
        if (both[i].real == directory) {
            added = both[i].added;
            both[i].real = forget ? NULL : directory;
        }
    }
    pthread_mutex_unlock(&both_lock);
    return added;
}

/* Remember what the overlay adds to an open folder, which is called `path` by the program. */
static DIR *with_added(DIR *directory, const char *path)
{
    HIL_REAL(opendir, DIR * (*)(const char *))
    char shown[HIL_PATH];
    if (!directory || !hil_root() || !hil_is_shown(path) ||
        (size_t)snprintf(shown, sizeof shown, "%s%s", hil_root(), path) >= sizeof shown) {
        return directory;
    }
    int before = errno;
    DIR *added = real(shown);
    errno = before;
    if (!added) {
        return directory;
    }
    pthread_mutex_lock(&both_lock);
    unsigned i = 0;
    while (i < sizeof both / sizeof *both && both[i].real) {
        i++;
    }
    if (i < sizeof both / sizeof *both) {
        both[i].real = directory;
        both[i].added = added;
        added = NULL;
    }
    pthread_mutex_unlock(&both_lock);
    if (added) {
        closedir(added);
    }
    return directory;
}

HIL_EXPORT DIR *opendir(const char *path)
{
    HIL_REAL(opendir, DIR * (*)(const char *))
    char made[HIL_PATH], shown[HIL_PATH];
    path = hil_absolute(AT_FDCWD, path, made);
    return hil_find(path, shown) == PATH_FOREIGN ? with_added(real(path), path) : real(shown);
}

HIL_EXPORT DIR *fdopendir(int fd)
{
    HIL_REAL(fdopendir, DIR * (*)(int))
    char path[HIL_PATH], shown[HIL_PATH];
    DIR *directory = real(fd);
    bool merged = directory && hil_root() && hil_folder_of(fd, path) && hil_find(path, shown) == PATH_FOREIGN;
    return merged ? with_added(directory, path) : directory;
}

HIL_EXPORT int chdir(const char *path)
{
    HIL_REAL(chdir, int (*)(const char *))
    char made[HIL_PATH], shown[HIL_PATH];
    path = hil_absolute(AT_FDCWD, path, made);
    int result = real(hil_find(path, shown) == PATH_FOREIGN ? path : shown);
    hil_moved();
    return result;
}

HIL_EXPORT int fchdir(int fd)
{
    HIL_REAL(fchdir, int (*)(int))
    int result = real(fd);
    hil_moved();
    return result;
}

HIL_EXPORT char *getcwd(char *name, size_t room)
{
    HIL_REAL(getcwd, char *(*)(char *, size_t))
    char here[HIL_PATH];
    char *found = real(name, room);
    if (found && hil_root() && !strncmp(found, hil_root(), strlen(hil_root())) &&
        hil_here(here, sizeof here) > 0) {
        strcpy(found, here);
    }
    return found;
}

/* What the real folder has too was listed there. */
static bool passed_over(DIR *directory, const char *name)
{
    int before = errno;
    bool there = *name == '.' || syscall(SYS_faccessat, dirfd(directory), name, F_OK) == 0;
    errno = before;
    return there;
}

#define READDIR(name, type)                                          \
    HIL_EXPORT struct type *name(DIR *directory)                     \
    {                                                                \
        HIL_REAL(name, struct type *(*)(DIR *))                      \
        struct type *entry = real(directory);                        \
        DIR *added = entry ? NULL : added_to(directory, false);      \
        while (added && (entry = real(added)) && passed_over(directory, entry->d_name)) { \
        }                                                            \
        return entry;                                                \
    }
READDIR(readdir, dirent)
READDIR(readdir64, dirent64)

HIL_EXPORT int closedir(DIR *directory)
{
    HIL_REAL(closedir, int (*)(DIR *))
    DIR *added = added_to(directory, true);
    if (added) {
        real(added);
    }
    return real(directory);
}

/* libc's own scandir opens folders behind our back. */
#define SCANDIR(name, type, next)                                                            \
    HIL_EXPORT int name(const char *path, struct type ***list, int (*wanted)(const struct type *), \
                        int (*order)(const struct type **, const struct type **))            \
    {                                                                                        \
        DIR *directory = opendir(path);                                                      \
        struct type **found = NULL, *entry;                                                  \
        int count = 0;                                                                       \
        while (directory && (entry = next(directory))) {                                     \
            if (wanted && !wanted(entry)) {                                                  \
                continue;                                                                    \
            }                                                                                \
            struct type **more = realloc(found, (size_t)(count + 1) * sizeof *found);        \
            struct type *copy = more ? malloc(sizeof *copy) : NULL;                          \
            found = more ? more : found;                                                     \
            if (!copy) {                                                                     \
                break;                                                                       \
            }                                                                                \
            memcpy(copy, entry, entry->d_reclen < sizeof *copy ? entry->d_reclen : sizeof *copy); \
            found[count++] = copy;                                                           \
        }                                                                                    \
        if (!directory) {                                                                    \
            return -1;                                                                       \
        }                                                                                    \
        closedir(directory);                                                                 \
        if (order && count) {                                                                \
            qsort(found, (size_t)count, sizeof *found, (int (*)(const void *, const void *))order); \
        }                                                                                    \
        *list = found;                                                                       \
        return count;                                                                        \
    }
SCANDIR(scandir, dirent, readdir)
SCANDIR(scandir64, dirent64, readdir64)

/* libc's own glob too, but it lets its caller bring the calls that look at folders. */
static void *open_found(const char *path)
{
    return opendir(path);
}

static void close_found(void *directory)
{
    closedir(directory);
}

#define GLOB(name, type, next)                                                               \
    HIL_EXPORT int name(const char *pattern, int flags, int (*failed)(const char *, int), type *found) \
    {                                                                                        \
        HIL_REAL(name, int (*)(const char *, int, int (*)(const char *, int), type *))       \
        if (hil_root() && !(flags & GLOB_ALTDIRFUNC)) {                                      \
            found->gl_opendir = open_found;                                                  \
            found->gl_readdir = (__typeof__(found->gl_readdir))next;                         \
            found->gl_closedir = close_found;                                                \
            found->gl_stat = (__typeof__(found->gl_stat))stat;                               \
            found->gl_lstat = (__typeof__(found->gl_lstat))lstat;                            \
            flags |= GLOB_ALTDIRFUNC;                                                        \
        }                                                                                    \
        return real(pattern, flags, failed, found);                                          \
    }
GLOB(glob, glob_t, readdir)
GLOB(glob64, glob64_t, readdir64)
