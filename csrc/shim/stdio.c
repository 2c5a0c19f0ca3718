/* Streams on devices and live attributes. libc reads, writes and closes on behalf of a stream without
 * passing by our calls, so such a stream is one of our own making. */
#include "shim.h"

#include <fcntl.h>
#include <unistd.h>

#define STREAMS 64

static struct {
    FILE *stream;
    int fd;
} streams[STREAMS];
static pthread_mutex_t streams_lock = PTHREAD_MUTEX_INITIALIZER;

/* Whoever held the lock is not there in the child of a fork. */
static void forked(void)
{
    pthread_mutex_init(&streams_lock, NULL);
}

__attribute__((constructor)) static void begin(void)
{
    pthread_atfork(NULL, NULL, forked);
}

/* Return the descriptor of a stream of ours, -1 for any other. */
static int fd_of(FILE *stream)
{
    int fd = -1;
    pthread_mutex_lock(&streams_lock);
    for (int i = 0; i < STREAMS; i++) {
        if (streams[i].stream == stream) {
            fd = streams[i].fd;
        }
    }
    pthread_mutex_unlock(&streams_lock);
    return fd;
}

static ssize_t read_stream(void *cookie, char *octets, size_t nbytes)
{
    return read((int)(intptr_t)cookie, octets, nbytes);
}

static ssize_t write_stream(void *cookie, const char *octets, size_t nbytes)
{
    ssize_t put = write((int)(intptr_t)cookie, octets, nbytes);
    return put < 0 ? 0 : put; /* fopencookie(3): 0 is the error */
}

static int seek_stream(void *cookie, off64_t *at, int whence)
{
    off64_t reached = lseek64((int)(intptr_t)cookie, *at, whence);
    *at = reached;
    return reached < 0 ? -1 : 0;
}

static int close_stream(void *cookie)
{
    int fd = (int)(intptr_t)cookie;
    pthread_mutex_lock(&streams_lock);
    for (int i = 0; i < STREAMS; i++) {
        if (streams[i].stream && streams[i].fd == fd) {
            streams[i].stream = NULL;
        }
    }
    pthread_mutex_unlock(&streams_lock);
    return close(fd);
}

FILE *hil_stream(int fd, const char *mode)
{
    cookie_io_functions_t calls = {read_stream, write_stream, seek_stream, close_stream};
    FILE *stream = fopencookie((void *)(intptr_t)fd, mode, calls);
    pthread_mutex_lock(&streams_lock);
    for (int i = 0; stream && i < STREAMS; i++) {
        if (!streams[i].stream) {
            streams[i].stream = stream;
            streams[i].fd = fd;
            break;
        }
    }
    pthread_mutex_unlock(&streams_lock);
    return stream;
}

FILE *hil_fopen(const char *path, const char *mode)
{
    int way = strchr(mode, '+') ? O_RDWR : *mode == 'r' ? O_RDONLY : O_WRONLY;
    int fd = open(path, way | O_CLOEXEC);
    FILE *stream = fd < 0 ? NULL : hil_stream(fd, mode);
    if (fd >= 0 && !stream) {
        close(fd);
    }
    return stream;
}

HIL_EXPORT FILE *fdopen(int fd, const char *mode)
{
    HIL_REAL(fdopen, FILE * (*)(int, const char *))
    return hil_of(fd) ? hil_stream(fd, mode) : real(fd, mode);
}

/* C++ streams read and write by the descriptor of the C stream below them. */
#define FILENO(name)                                                          \
    HIL_EXPORT int name(FILE *stream)                                         \
    {                                                                         \
        HIL_REAL(name, int (*)(FILE *))                                       \
        int fd = fd_of(stream);                                               \
        return fd < 0 ? real(stream) : fd;                                    \
    }
FILENO(fileno)
FILENO(fileno_unlocked)
