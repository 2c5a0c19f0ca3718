/* readv and writev. A device takes one segment after the other, as the kernel does for drivers that
 * know read and write only; what is written to an attribute is put together first. */
#include "shim.h"

#include <limits.h>
#include <sys/uio.h>

static bool is_ours(const hil_handle *handle)
{
    return handle && handle->device != DEVICE_LINE; /* whose edges lie in the descriptor itself */
}

static ssize_t one_by_one(hil_handle *handle, int fd, const struct iovec *segments, int count, bool reads)
{
    ssize_t total = 0;
    for (int i = 0; i < count; i++) {
        size_t nbytes = segments[i].iov_len;
        if (!nbytes) {
            continue;
        }
        void *octets = segments[i].iov_base;
        ssize_t done = reads ? hil_read(handle, fd, octets, nbytes) : hil_write(handle, fd, octets, nbytes);
        if (done < 0) {
            return total ? total : done;
        }
        total += done;
        if ((size_t)done != nbytes) {
            break;
        }
    }
    return total;
}

static ssize_t gathered(hil_handle *handle, int fd, const struct iovec *segments, int count)
{
    uint8_t page[HIL_PAGE];
    size_t nbytes = 0;
    for (int i = 0; i < count; i++) {
        size_t room = sizeof page - nbytes;
        size_t taken = segments[i].iov_len < room ? segments[i].iov_len : room;
        memcpy(page + nbytes, segments[i].iov_base, taken);
        nbytes += taken;
    }
    return hil_write(handle, fd, page, nbytes);
}

HIL_EXPORT ssize_t readv(int fd, const struct iovec *segments, int count)
{
    HIL_REAL(readv, ssize_t(*)(int, const struct iovec *, int))
    hil_handle *handle = hil_of(fd);
    if (!is_ours(handle) || count < 0 || count > IOV_MAX) {
        hil_clock_await_input(fd);
        return real(fd, segments, count);
    }
    return hil_result((int)one_by_one(handle, fd, segments, count, true));
}

HIL_EXPORT ssize_t writev(int fd, const struct iovec *segments, int count)
{
    HIL_REAL(writev, ssize_t(*)(int, const struct iovec *, int))
    hil_handle *handle = hil_of(fd);
    if (!is_ours(handle) || count < 0 || count > IOV_MAX) {
        return real(fd, segments, count);
    }
    return hil_result((int)(handle->device == DEVICE_ATTRIBUTE ? gathered(handle, fd, segments, count)
                                                               : one_by_one(handle, fd, segments, count, false)));
}
