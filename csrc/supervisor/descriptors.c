/* Calls on descriptors: those on a device are done here, all others go on to the kernel. */
#include "supervisor.h"

#include <fcntl.h>
#include <unistd.h>

int64_t sv_ioctl(const uint64_t *args)
{
    sv_file *file = sv_hold((int)args[0]);
    if (!file) {
        return GO_ON;
    }
    hil_handle *handle = hil_of(file->connection);
    int result = hil_ioctl(handle, file->connection, (uint32_t)args[1], (void *)(uintptr_t)args[2]);
    sv_let_go(file);
    return result;
}

int64_t sv_read(const uint64_t *args)
{
    sv_file *file = sv_hold((int)args[0]);
    if (!file) {
        return GO_ON;
    }
    hil_handle *handle = hil_of(file->connection);
    int64_t result = GO_ON; /* edges lie in the program's own socket */
    if (!hil_gpio_readable(handle, args[2])) {
        result = hil_read(handle, file->connection, (void *)(uintptr_t)args[1], args[2]);
    }
    sv_let_go(file);
    return result;
}

int64_t sv_write(const uint64_t *args)
{
    sv_file *file = sv_hold((int)args[0]);
    if (!file) {
        return GO_ON;
    }
    hil_handle *handle = hil_of(file->connection);
    int64_t result = hil_write(handle, file->connection, (const void *)(uintptr_t)args[1], args[2]);
    sv_let_go(file);
    return result;
}

/* Tell that a call on a device is not modelled; what GPIO descriptors are, the kernel can do. */
static int64_t refuse(int fd, const char *what, unsigned long number)
{
    sv_file *file = sv_hold(fd);
    if (!file) {
        return GO_ON;
    }
    hil_handle *handle = hil_of(file->connection);
    bool socket = handle->device == DEVICE_LINE || handle->device == DEVICE_CHIP;
    if (!socket && what) {
        hil_tell(what, number, handle);
    }
    sv_let_go(file);
    return socket ? GO_ON : -EOPNOTSUPP;
}

int64_t sv_refuse(const uint64_t *args)
{
    return refuse((int)args[0], sv_now.row->name, (unsigned long)sv_now.row->number);
}

static int64_t duplicate(int fd, int least, bool close_on_exec)
{
    int64_t plain = refuse(fd, NULL, 0);
    if (plain == GO_ON) {
        return GO_ON;
    }
    int copy = sv_copy(fd);
    if (copy < 0) {
        return copy;
    }
    int64_t number = sv_install_at(copy, least < RESERVED ? RESERVED : least, close_on_exec);
    close(copy);
    return number;
}

int64_t sv_dup(const uint64_t *args)
{
    return duplicate((int)args[0], RESERVED, false);
}

int64_t sv_fcntl(const uint64_t *args)
{
    return duplicate((int)args[0], (int)args[2], args[1] == F_DUPFD_CLOEXEC);
}

/* Below the reserved numbers reads and writes would not be seen. */
int64_t sv_dup_to(const uint64_t *args)
{
    int target = (int)args[1];
    bool seen = target >= RESERVED && target < RESERVED_END;
    return seen ? sv_changes(args) : refuse((int)args[0], "dup2 to descriptor", args[1]);
}
