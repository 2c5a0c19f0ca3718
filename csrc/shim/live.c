/* Live attributes: files of sysfs whose text the bench makes at each read.
 *
 * As in sysfs the text is made at the first read, and anew whenever it is read from its beginning.
 * To read, a program gets a memfd that holds the text, so that seeks need no help; to write only,
 * the connection itself, which takes the plain octets of whoever inherits it. Who opens without
 * O_CLOEXEC may hand the descriptor to a program that knows nothing of us (`cmd < file`): the text
 * is then there from the start, and the first read finds it. */
#include "shim.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Ask the bench; the reply is i32 errno and the text, which is left at *text. */
static int ask(hil_handle *handle, int fd, bool write, const void *octets, size_t nbytes, uint8_t **text)
{
    uint8_t *payload = hil_begin(handle);
    int result = hil_theirs->fetch(payload, octets, nbytes);
    if (result < 0) {
        return result;
    }
    result = hil_call(handle, fd, KIND_ATTRIBUTE, write, nbytes);
    if (result >= 4) {
        int32_t error;
        memcpy(&error, payload, 4);
        *text = payload + 4;
        return error ? -error : result - 4;
    }
    return result < 0 ? result : -EPROTO;
}

/* Put a new text into the memfd. The handle keeps what is at its place, which a dup shares. */
static int renew(hil_handle *handle, int fd)
{
    uint8_t *text;
    int result = ask(handle, handle->live.control, false, NULL, 0, &text);
    if (result >= 0) {
        /* In this order: another process that shares it never finds it empty. */
        bool kept = syscall(SYS_pwrite64, fd, text, (size_t)result, (off_t)0) == result &&
                    syscall(SYS_ftruncate, fd, (off_t)result) == 0;
        result = kept ? 0 : -errno;
    }
    hil_end(handle);
    return result;
}

static int open_to_read(const char *path, int flags)
{
    int fd = (int)syscall(SYS_memfd_create, strrchr(path, '/') + 1, flags & O_CLOEXEC ? MFD_CLOEXEC : 0u);
    if (fd < 0) {
        return -errno;
    }
    int control = hil_connect(path, DEVICE_ATTRIBUTE);
    if (control < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    hil_handle *handle = hil_of(control);
    hil_share(control, fd);
    hil_forget(control); /* of the program's two descriptors only the text is one */
    if (!hil_of(fd)) {
        close(control);
        close(fd);
        return -EMFILE;
    }
    handle->live.control = control;
    handle->live.fresh = !(flags & O_CLOEXEC) && renew(handle, fd) == 0;
    return fd;
}

int hil_live_open(const char *path, const char *shown, int flags)
{
    unsigned mode = hil_mode_of(shown);
    int way = flags & O_ACCMODE;
    if (flags & O_DIRECTORY) {
        return -ENOTDIR;
    }
    if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL)) {
        return -EEXIST;
    }
    /* sysfs holds root to the mode of a file too. */
    if ((way != O_RDONLY && !(mode & 0222)) || (way != O_WRONLY && !(mode & 0444))) {
        return -EACCES;
    }
    int fd = way == O_WRONLY ? hil_connect(path, DEVICE_ATTRIBUTE) : open_to_read(path, flags);
    if (fd == -1) {
        return -errno;
    }
    if (fd >= 0) {
        hil_of(fd)->live.writable = way != O_RDONLY;
        if (way == O_WRONLY && !(flags & O_CLOEXEC)) {
            fcntl(fd, F_SETFD, 0);
        }
    }
    return fd;
}

ssize_t hil_live_read(hil_handle *handle, int fd, void *octets, size_t nbytes, off_t at)
{
    if (handle->live.control < 0) {
        return -EBADF;
    }
    bool here = at == HIL_HERE;
    if ((here ? lseek(fd, 0, SEEK_CUR) : at) == 0 && nbytes) {
        int result = handle->live.fresh ? 0 : renew(handle, fd);
        handle->live.fresh = false;
        if (result < 0) {
            return result;
        }
    }
    uint8_t page[HIL_PAGE];
    size_t most = nbytes < sizeof page ? nbytes : sizeof page;
    ssize_t got = here ? syscall(SYS_read, fd, page, most) : syscall(SYS_pread64, fd, page, most, at);
    int stored = got > 0 ? hil_theirs->store(octets, page, (size_t)got) : 0;
    return got < 0 ? -errno : stored < 0 ? stored : got;
}

ssize_t hil_live_write(hil_handle *handle, int fd, const void *octets, size_t nbytes)
{
    if (!handle->live.writable) {
        return -EBADF;
    }
    uint8_t *text;
    size_t taken = nbytes < HIL_PAGE ? nbytes : HIL_PAGE;
    int control = handle->live.control;
    int result = ask(handle, control < 0 ? fd : control, true, octets, taken, &text);
    hil_end(handle);
    return result < 0 ? result : (ssize_t)taken;
}
