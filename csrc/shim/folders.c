/* Folders below /dev and /sys: the real one first, then what the overlay adds to it. */
#include "shim.h"

#include <dirent.h>
#include <stdlib.h>

static struct {
    DIR *real, *added;
} both[16];
static pthread_mutex_t both_lock = PTHREAD_MUTEX_INITIALIZER;

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

HIL_EXPORT DIR *opendir(const char *path)
{
    HIL_REAL(opendir, DIR * (*)(const char *))
    char shown[HIL_PATH];
    DIR *directory = real(path);
    if (hil_find(path, shown) != PATH_FOREIGN || !hil_root()) {
        return directory;
    }
    if (strncmp(path, "/dev", 4) && strncmp(path, "/sys", 4)) {
        return directory;
    }
    int before = errno;
    DIR *added = real(shown);
    errno = before;
    if (!directory || !added) {
        return added ? added : directory;
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

#define READDIR(name, type)                                          \
    HIL_EXPORT struct type *name(DIR *directory)                     \
    {                                                                \
        HIL_REAL(name, struct type *(*)(DIR *))                      \
        struct type *entry = real(directory);                        \
        DIR *added = entry ? NULL : added_to(directory, false);      \
        while (added && (entry = real(added)) && entry->d_name[0] == '.') { \
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
