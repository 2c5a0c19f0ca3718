/* The devices that programs have open.
 *
 * A program holds one end of a socket pair, the server the other one and the connection to the
 * bench. Which device a descriptor is, its socket's number in /proc tells: it stays the same through
 * fork, exec, dup and SCM_RIGHTS, of which we hear only to look again. When the last of these descriptors is
 * closed, by whatever way, the pair hangs up. Requested GPIO lines are the connection itself, on
 * which the bench sends their edges; there the bench hangs up the control connection. */
#include "supervisor.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FILES = 256 };
static sv_file files[FILES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER, places = PTHREAD_MUTEX_INITIALIZER;
static int epoll = -1;

int sv_name_of(int fd, char *name, size_t room)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)sv_now.thread, fd);
    ssize_t got = readlink(path, name, room - 1);
    if (got < 0) {
        return -errno;
    }
    name[got] = 0;
    return (int)got;
}

/* Grows whenever a descriptor may come to be another file, or a thread's number another thread's. */
static _Atomic unsigned changes;

int64_t sv_changes(const uint64_t *args)
{
    (void)args;
    atomic_fetch_add(&changes, 1);
    return GO_ON;
}

/* Return the number of the socket behind a descriptor of the program, 0 if there is none. To ask
 * /proc is half of what a call costs: the answer holds until something changes. */
static uint64_t socket_of(int fd)
{
    static _Thread_local struct {
        pid_t thread;
        unsigned changes;
        uint64_t number;
    } known[RESERVED_END - RESERVED];
    unsigned place = (unsigned)fd - RESERVED, before = atomic_load(&changes);
    bool keeps = place < RESERVED_END - RESERVED;
    if (keeps && known[place].thread == sv_now.thread && known[place].changes == before) {
        return known[place].number;
    }
    char name[64];
    uint64_t number = 0;
    if (sv_name_of(fd, name, sizeof name) > 0 && !strncmp(name, "socket:[", 8)) {
        number = strtoull(name + 8, NULL, 10);
    }
    if (keeps) {
        known[place].thread = sv_now.thread;
        known[place].changes = before;
        known[place].number = number;
    }
    return number;
}

sv_file *sv_hold(int fd)
{
    uint64_t number = socket_of(fd);
    if (!number) {
        return NULL;
    }
    sv_file *found = NULL;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < FILES && !found; i++) {
        if (files[i].socket == number) {
            found = &files[i];
            found->users++;
        }
    }
    pthread_mutex_unlock(&lock);
    return found;
}

void sv_let_go(sv_file *file)
{
    pthread_mutex_lock(&lock);
    bool over = --file->users == 0 && file->gone;
    sv_file last = *file;
    if (over) {
        *file = (sv_file){0};
    }
    pthread_mutex_unlock(&lock);
    if (over) {
        hil_close(last.connection);
        if (last.watch >= 0) {
            close(last.watch);
        }
    }
}

static void watch(sv_file *file, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events | EPOLLRDHUP};
    event.data.u32 = (uint32_t)(file - files);
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

void sv_start_files(int with)
{
    epoll = with;
}

void sv_gone(uint32_t place, uint32_t events)
{
    sv_file *file = &files[place];
    pthread_mutex_lock(&lock);
    bool there = file->socket != 0;
    file->users += there;
    pthread_mutex_unlock(&lock);
    if (!there) {
        return;
    }
    hil_handle *handle = hil_of(file->connection);
    if (events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)) {
        epoll_ctl(epoll, EPOLL_CTL_DEL, file->watch < 0 ? handle->gpio.control : file->watch, NULL);
        pthread_mutex_lock(&lock);
        file->gone = true;
        pthread_mutex_unlock(&lock);
    } else {
        char octet;
        hil_tell("write on a descriptor below", RESERVED, handle);
        recv(file->watch, &octet, 1, MSG_DONTWAIT);
    }
    sv_let_go(file);
}

/* Enter a file whose end for the program is `fd`; NULL where there is no place left. */
static sv_file *enter(int fd, int connection, int watched)
{
    struct stat status;
    sv_file *file = NULL;
    if (fstat(fd, &status) < 0) {
        return NULL;
    }
    pthread_mutex_lock(&lock);
    for (int i = 0; i < FILES && !file; i++) {
        if (!files[i].socket) {
            file = &files[i];
            *file = (sv_file){status.st_ino, connection, watched, false, 1};
        }
    }
    pthread_mutex_unlock(&lock);
    return file;
}

int sv_install_at(int fd, int least, bool close_on_exec)
{
    char name[HIL_PATH];
    int result = -EMFILE;
    pthread_mutex_lock(&places);
    for (int place = least; place < RESERVED_END; place++) {
        if (sv_name_of(place, name, sizeof name) == -ENOENT) {
            result = sv_put(fd, place, close_on_exec);
            atomic_fetch_add(&changes, 1);
            break;
        }
    }
    pthread_mutex_unlock(&places);
    return result == -EBADF ? -EMFILE : result; /* beyond the program's RLIMIT_NOFILE */
}

int sv_open(const char *path, bool close_on_exec)
{
    int pair[2];
    hil_device device = hil_device_of(path);
    int connection = hil_connect(path, device);
    if (connection < 0) {
        return -errno;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        int error = errno;
        hil_close(connection);
        return -error;
    }
    if (device != DEVICE_CHIP) {
        shutdown(pair[1], SHUT_WR); /* ready, as a device without poll is, and no read blocks */
    }
    sv_file *file = enter(pair[0], connection, pair[1]);
    int number = file ? sv_install_at(pair[0], RESERVED, close_on_exec) : -EMFILE;
    if (file) {
        watch(file, pair[1], EPOLLIN); /* where nobody got it, closing our end of it hangs up */
        sv_let_go(file);
    } else {
        hil_close(connection);
        close(pair[1]);
    }
    close(pair[0]);
    return number;
}

/* The connection of requested lines goes to the program, ours is closed; their handle is kept by a
 * descriptor that is nothing else. */
static int give(hil_handle *handle, int fd)
{
    int keeper = eventfd(0, EFD_CLOEXEC);
    sv_file *file = NULL;
    if (keeper >= 0) {
        hil_share(fd, keeper);
        file = enter(fd, keeper, -1);
    }
    int number = file ? sv_install_at(fd, RESERVED, true) : -EMFILE;
    hil_close(fd);
    if (file) {
        watch(file, handle->gpio.control, 0);
        number = hil_gpio_attach(handle) < 0 ? -ENODEV : number;
        sv_let_go(file);
    } else if (keeper >= 0) {
        hil_close(keeper);
    }
    return number;
}
int (*const sv_give)(hil_handle *handle, int fd) = give;

int sv_copy(int fd)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/status", (int)sv_now.thread);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = file < 0 ? 0 : read(file, text, sizeof text - 1);
    close(file);
    text[got < 0 ? 0 : got] = 0;
    const char *found = strstr(text, "\nTgid:");
    int process = found ? (int)syscall(SYS_pidfd_open, atoi(found + 6), 0) : -1;
    int copy = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, fd, 0);
    int error = process < 0 ? ESRCH : errno;
    close(process);
    return copy < 0 ? -error : copy;
}

bool sv_device_path(int fd, char path[HIL_PATH])
{
    sv_file *file = sv_hold(fd);
    if (!file) {
        return false;
    }
    hil_handle *handle = hil_of(file->connection);
    bool device = handle->device != DEVICE_LINE;
    snprintf(path, HIL_PATH, "%s", handle->path);
    sv_let_go(file);
    return device;
}
