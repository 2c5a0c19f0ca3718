/* Connections to the bench, and which descriptor is which device. */
#include "shim.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define HANDLES 256

static _Atomic uint16_t place_of[HIL_DESCRIPTORS]; /* 1 + place in `handles`, 0: not ours */
static hil_handle handles[HANDLES];
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sockaddr_un bench;
static char root[sizeof bench.sun_path + 8];
static pid_t owner; /* of the table: the child of a vfork runs in its parent's memory */

/* In the child of a fork other threads' locks are held by nobody, and the connections are those of
 * the parent: each gets its own at its next use. */
static void forked(void)
{
    owner = getpid();
    pthread_mutex_init(&table_lock, NULL);
    for (int i = 0; i < HANDLES; i++) {
        if (handles[i].descriptors) {
            pthread_mutex_init(&handles[i].lock, NULL);
            handles[i].stale = !handles[i].gpio.readable; /* events go to whoever reads */
        }
    }
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("HIL_BENCH");
    if (!path || !*path || strlen(path) >= sizeof bench.sun_path || bench.sun_family) {
        return;
    }
    const char *slash = strrchr(path, '/');
    strcpy(bench.sun_path, path);
    snprintf(root, sizeof root, "%.*s/root", slash ? (int)(slash - path) : 0, path);
    bench.sun_family = AF_UNIX;
    owner = getpid();
    pthread_atfork(NULL, NULL, forked);
    hil_moved();
}

const char *hil_root(void)
{
    if (!bench.sun_family) {
        begin(); /* somebody's constructor opens files before ours has run */
    }
    return bench.sun_family ? root : NULL;
}

hil_handle *hil_of(int fd)
{
    uint16_t place = (unsigned)fd < HIL_DESCRIPTORS ? atomic_load(&place_of[fd]) : 0;
    return place ? &handles[place - 1] : NULL;
}

int hil_dial(void)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    int octets = HIL_MESSAGE;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &octets, sizeof octets);
    if (connect(fd, (struct sockaddr *)&bench, sizeof bench) < 0) {
        int error = errno == ECONNREFUSED || errno == ENOENT ? ENODEV : errno;
        close(fd);
        return -error;
    }
    return fd;
}

static int wait_for(int fd, short events)
{
    struct pollfd one = {.fd = fd, .events = events};
    return syscall(SYS_ppoll, &one, 1, NULL, NULL, 0) < 0 && errno != EINTR ? -errno : 0;
}

/* Send the message of `nbytes` of payload and wait for the reply. A signal does not cut it short:
 * the bus does its work in any case. */
static int exchange(hil_handle *handle, int fd, fs_record *header)
{
    uint8_t *message = handle->message;
    size_t nbytes = sizeof *header + header->length;
    memcpy(message, header, sizeof *header);
    while (send(fd, message, nbytes, MSG_NOSIGNAL) < 0) {
        if (errno == EAGAIN ? wait_for(fd, POLLOUT) < 0 : errno != EINTR) {
            return errno == EPIPE || errno == ECONNRESET ? -ENODEV : -errno;
        }
    }
    ssize_t got;
    while ((got = recv(fd, message, HIL_MESSAGE, 0)) < 0) {
        if (errno == EAGAIN ? wait_for(fd, POLLIN) < 0 : errno != EINTR) {
            return errno == ECONNRESET ? -ENODEV : -errno;
        }
    }
    uint8_t kind = header->kind;
    if (got < (ssize_t)sizeof *header) {
        return -ENODEV; /* the bench is gone, as when the adapter is pulled out */
    }
    memcpy(header, message, sizeof *header);
    if (header->kind != kind || got != (ssize_t)(sizeof *header + header->length)) {
        return header->kind == KIND_REFUSE ? -ENXIO : -EPROTO;
    }
    return (int)header->length;
}

/* Return the number behind `"key":` in a JSON object, `otherwise` if it is not there. */
static uint32_t number_in(const char *json, const char *key, uint32_t otherwise)
{
    const char *found = strstr(json, key);
    return found ? (uint32_t)strtoul(found + strlen(key), NULL, 10) : otherwise;
}

/* Take the set of addresses behind `"held":[`, where there is one. */
static void learn_held(uint8_t held[16], const char *json)
{
    const char *at = strstr(json, "\"held\":[");
    memset(held, 0, 16);
    for (at = at ? at + 7 : "]"; *at != ']' && *at;) {
        char *end;
        unsigned long address = strtoul(at + 1, &end, 10);
        if (end == at + 1 || address > 0x7f) {
            return;
        }
        held[address / 8] |= (uint8_t)(1 << address % 8);
        at = end;
    }
}

void hil_learn(hil_handle *handle, int length)
{
    uint8_t *payload = handle->message + sizeof(fs_record);
    const char *json = (const char *)payload + sizeof handle->error;
    if (length < (int)sizeof handle->error || length >= HIL_MESSAGE - (int)sizeof(fs_record)) {
        return;
    }
    payload[length] = 0;
    memcpy(handle->error, payload, sizeof handle->error);
    learn_held(handle->i2c.held, json);
    handle->i2c.functions = number_in(json, "\"functions\":", 0);
    handle->spi.limit = number_in(json, "\"bufsiz\":", 4096);
    handle->spi.mode = number_in(json, "\"spi_mode\":", 0);
    handle->spi.speed_hz = number_in(json, "\"spi_speed_hz\":", 0);
    handle->spi.bits = (uint8_t)number_in(json, "\"spi_bits\":", 8);
}

static int greet(hil_handle *handle, int fd)
{
    size_t nbytes = strlen(handle->path);
    fs_record header = {.kind = KIND_OPEN, .length = (uint32_t)nbytes};
    memcpy(handle->message + sizeof header, handle->path, nbytes);
    int length = exchange(handle, fd, &header);
    if (length < (int)sizeof handle->error) {
        return length < 0 ? length : -EPROTO;
    }
    handle->channel = header.channel;
    handle->chip_select = header.address;
    hil_learn(handle, length);
    return 0;
}

static hil_handle *take_place(const char *path, hil_device device)
{
    for (int i = 0; i < HANDLES; i++) {
        hil_handle *handle = &handles[i];
        if (handle->descriptors) {
            continue;
        }
        uint8_t *message = handle->message;
        if (!message) {
            message = mmap(NULL, HIL_MESSAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        }
        if (message == MAP_FAILED) {
            return NULL;
        }
        *handle = (hil_handle){.lock = PTHREAD_MUTEX_INITIALIZER, .descriptors = 1, .device = device};
        handle->message = message; /* kept: the place will be wanted again */
        snprintf(handle->path, sizeof handle->path, "%s", path);
        handle->gpio.control = handle->live.control = -1;
        return handle;
    }
    return NULL;
}

int hil_connect(const char *path, hil_device device)
{
    int fd = hil_dial();
    if (fd < 0) {
        return hil_result(fd);
    }
    pthread_mutex_lock(&table_lock);
    hil_handle *handle = fd < HIL_DESCRIPTORS ? take_place(path, device) : NULL;
    pthread_mutex_unlock(&table_lock);
    int error = handle ? greet(handle, fd) : -EMFILE;
    if (error < 0) {
        if (handle) {
            handle->descriptors = 0;
        }
        close(fd);
        return hil_result(error);
    }
    atomic_store(&place_of[fd], (uint16_t)(1 + (handle - handles)));
    return fd;
}

bool hil_borrowed(void)
{
    return getpid() != owner;
}

void hil_share(int from, int to)
{
    hil_handle *handle = hil_of(from);
    if (from == to || to < 0 || ((handle || hil_of(to)) && hil_borrowed())) {
        return;
    }
    hil_forget(to);
    if (handle && to < HIL_DESCRIPTORS) {
        pthread_mutex_lock(&table_lock);
        handle->descriptors++;
        atomic_store(&place_of[to], atomic_load(&place_of[from]));
        pthread_mutex_unlock(&table_lock);
    }
}

void hil_forget(int fd)
{
    hil_handle *handle = hil_of(fd);
    if (!handle || hil_borrowed()) {
        return;
    }
    pthread_mutex_lock(&table_lock);
    atomic_store(&place_of[fd], 0);
    bool last = --handle->descriptors == 0;
    int control = handle->gpio.control, live = handle->live.control;
    pthread_mutex_unlock(&table_lock);
    if (last && control >= 0) {
        hil_close(control);
    }
    if (last && live >= 0) {
        close(live);
    }
}

void hil_close(int fd)
{
    hil_forget(fd);
    close(fd);
}

/* Give a handle that a fork has brought its own connection, on all of its descriptors. */
static void redial(hil_handle *handle)
{
    uint16_t place = (uint16_t)(1 + (handle - handles));
    int fresh = hil_dial();
    if (fresh < 0) {
        return;
    }
    if (greet(handle, fresh) < 0) {
        close(fresh);
        return;
    }
    if (handle->live.control >= 0) {
        syscall(SYS_dup3, fresh, handle->live.control, O_CLOEXEC); /* its descriptors are no connections */
    }
    for (int fd = 0; fd < HIL_DESCRIPTORS && handle->live.control < 0; fd++) {
        if (atomic_load(&place_of[fd]) == place) {
            int flags = fcntl(fd, F_GETFD);
            syscall(SYS_dup3, fresh, fd, flags >= 0 && flags & FD_CLOEXEC ? O_CLOEXEC : 0);
        }
    }
    close(fresh);
    handle->stale = false;
}

uint8_t *hil_begin(hil_handle *handle)
{
    pthread_mutex_lock(&handle->lock);
    if (handle->stale) {
        redial(handle); /* where that fails, the call says so */
    }
    return handle->message + sizeof(fs_record);
}

void hil_end(hil_handle *handle)
{
    pthread_mutex_unlock(&handle->lock);
}

int hil_call(hil_handle *handle, int fd, uint8_t kind, uint32_t address, size_t nbytes)
{
    if (handle->stale) {
        return -ENODEV;
    }
    fs_record header = {
        .kind = kind, .channel = handle->channel, .length = (uint32_t)nbytes, .address = address};
    header.seq = hil_clock_ident();
    header.t_ns = hil_clock_now();
    int length = exchange(handle, fd, &header);
    if (length >= 0 && header.status) {
        int error = handle->error[header.status & 15];
        return error ? -error : -EIO;
    }
    return length;
}

/* Say once for each number and kind of device that something is not modelled. */
void hil_tell(const char *what, unsigned long number, hil_handle *handle)
{
    static _Atomic uint32_t told[64];
    uint32_t key = (uint32_t)number * 8 + handle->device;
    for (int i = 0; i < 64; i++) {
        uint32_t none = 0;
        if (atomic_load(&told[i]) == key) {
            return;
        }
        if (atomic_compare_exchange_strong(&told[i], &none, key)) {
            break;
        }
    }
    char line[160];
    int nbytes = snprintf(line, sizeof line, "%s: %s %#lx on %s is not modelled (EOPNOTSUPP)\n", hil_name,
                          what, number, handle->path);
    if (write(STDERR_FILENO, line, (size_t)nbytes) < 0) {
        return; /* nobody to tell */
    }
}
