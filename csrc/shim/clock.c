/* The clock page and the connection over which a thread waits. */
#include "clock.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { KIND_NEXT = 0x03, KIND_GRANT = 0x04, FLAG_WAKE = 8 };
enum { ADDRESS_SPIN = 1, ADDRESS_SLICED = 2 };
/* Out of the way of programs that close, or count on, low numbers. */
#define HIGH_FD 512
/* Looks at the clock that a thread has for nothing from one wait to the next, and those of them in a
 * row: an interpreter looks at it whenever it takes a lock. Each further look costs what the page
 * says, but at least this part of the time that the thread has already spent looking, so that every
 * such loop comes to an end. */
#define FREE_LOOKS 4096
#define FREE_IN_A_ROW 32
#define LOOK_PART 1024

/* Written by the bench. */
typedef struct {
    _Atomic uint64_t now_ns;
    uint64_t monotonic_ns, realtime_ns; /* CLOCK_MONOTONIC and CLOCK_REALTIME at virtual time 0 */
    uint64_t read_ns;                   /* what a look at the clock costs */
    uint64_t ahead_ns;                  /* how far a thread may be ahead of the bench by that */
} clock_page;

static clock_page *page;
static bool looked;
static _Atomic uint8_t marks[HIL_DESCRIPTORS];
static pthread_key_t at_exit;

static __thread struct {
    uint64_t local_ns; /* time of this thread; behind the page's: that one */
    int fd;            /* 1 + connection, 0: none yet */
    uint32_t ident;    /* how requests on devices name this thread */
    uint32_t wait;     /* number of the latest wait */
    uint32_t looks;    /* at the clock, since then */
    uint32_t row;      /* of looks without a lock between them */
    uint64_t spent_ns; /* for looking, since then */
    bool busy;         /* a signal handler may come here while its thread waits */
} self __attribute__((tls_model("initial-exec")));

static void mark(int fd, uint8_t as)
{
    if ((unsigned)fd < HIL_DESCRIPTORS && atomic_load(&marks[fd]) != as && !hil_borrowed()) {
        atomic_store(&marks[fd], as);
    }
}

uint8_t hil_clock_marked(int fd)
{
    return page && (unsigned)fd < HIL_DESCRIPTORS ? atomic_load(&marks[fd]) : MARK_NONE;
}

int hil_clock_mark(int fd, uint8_t as)
{
    if (page) {
        mark(fd, as);
    }
    return fd;
}

static void hang_up(int fd)
{
    mark(fd, MARK_NONE);
    syscall(SYS_close, fd);
}

static void thread_ends(void *connection)
{
    hang_up((int)(intptr_t)connection - 1);
    self.fd = 0;
}

/* The child of a fork is a thread of its own. */
static void forked(void)
{
    for (int fd = 0; fd < HIL_DESCRIPTORS; fd++) {
        if (atomic_load(&marks[fd]) == MARK_HIDDEN) {
            hang_up(fd);
        }
    }
    pthread_setspecific(at_exit, NULL);
    self.fd = 0;
    self.ident = 0;
    self.busy = false;
}

void *hil_map(const char *name, size_t nbytes)
{
    const char *root = hil_root();
    if (!root) {
        return NULL;
    }
    char path[HIL_PATH];
    snprintf(path, sizeof path, "%.*s%s", (int)(strlen(root) - strlen("root")), root, name);
    int before = errno;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    void *mapped = MAP_FAILED;
    if (fd >= 0) {
        mapped = mmap(NULL, nbytes, PROT_READ, MAP_SHARED, fd, 0);
        syscall(SYS_close, fd);
    }
    errno = before;
    return mapped == MAP_FAILED ? NULL : mapped;
}

__attribute__((constructor)) static void look(void)
{
    void *mapped = looked ? NULL : hil_map("clock", sizeof *page);
    looked = true;
    if (mapped) {
        pthread_key_create(&at_exit, thread_ends);
        pthread_atfork(NULL, NULL, forked);
        page = mapped;
    }
}

bool hil_virtual(void)
{
    if (!looked) {
        look(); /* somebody's constructor reads the clock before ours has run */
    }
    return page != NULL;
}

/* The bench is gone: time is the wall's from here on. */
static int lost(void)
{
    page = NULL;
    return -ENODEV;
}

bool hil_clock_is(clockid_t clock, uint64_t *offset_ns)
{
    if (!hil_virtual()) {
        return false;
    }
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_TAI:
        *offset_ns = page->realtime_ns;
        return true;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
        *offset_ns = page->monotonic_ns;
        return true;
    default:
        return false; /* processor time is what it is */
    }
}

uint64_t hil_clock_now(void)
{
    if (!hil_virtual()) {
        return 0;
    }
    uint64_t now_ns = atomic_load_explicit(&page->now_ns, memory_order_acquire);
    if (self.local_ns < now_ns) {
        self.local_ns = now_ns;
    }
    return self.local_ns;
}

static int begin(uint64_t until_ns, uint8_t flags, uint32_t address);

uint64_t hil_clock_read(void)
{
    clock_page *bench = page;
    uint64_t t_ns = hil_clock_now();
    if (++self.row <= FREE_IN_A_ROW && ++self.looks <= FREE_LOOKS) {
        return t_ns;
    }
    uint64_t part_ns = self.spent_ns / LOOK_PART;
    uint64_t cost_ns = part_ns > bench->read_ns ? part_ns : bench->read_ns;
    self.spent_ns += cost_ns;
    self.local_ns = t_ns + cost_ns;
    if (self.local_ns > atomic_load(&bench->now_ns) + bench->ahead_ns && !self.busy) {
        int before = errno;
        int fd = begin(self.local_ns, 0, ADDRESS_SPIN);
        struct pollfd one = {.fd = fd, .events = POLLIN};
        while (fd >= 0 && hil_clock_over() == 0) {
            syscall(SYS_ppoll, &one, 1, NULL, NULL, 0);
        }
        errno = before;
    }
    return t_ns;
}

uint64_t hil_clock_after(uint64_t span_ns)
{
    uint64_t now_ns = hil_clock_now();
    return span_ns > HIL_NEVER - now_ns ? HIL_NEVER : now_ns + span_ns;
}

uint64_t hil_clock_at(const struct timespec *instant, uint64_t offset_ns)
{
    uint64_t t_ns = hil_ns(instant);
    return t_ns > offset_ns ? t_ns - offset_ns : 0;
}

/* --- the connection of a thread ----------------------------------------------------------------- */

static int record(int fd, const fs_record *header, const char *text)
{
    uint8_t message[sizeof *header + 16];
    memcpy(message, header, sizeof *header);
    memcpy(message + sizeof *header, text, header->length);
    ssize_t put;
    while ((put = send(fd, message, sizeof *header + header->length, MSG_NOSIGNAL)) < 0 && errno == EINTR) {
    }
    return put < 0 ? -errno : 0;
}

static int introduce(int fd)
{
    fs_record header = {.kind = KIND_OPEN, .length = 5, .address = (uint32_t)syscall(SYS_gettid)};
    int error = record(fd, &header, "clock");
    ssize_t got = -1;
    while (!error && (got = recv(fd, &header, sizeof header, MSG_TRUNC)) < 0 && errno == EINTR) {
    }
    if (got < (ssize_t)sizeof header || header.kind != KIND_OPEN) {
        return -ENODEV;
    }
    self.ident = header.seq;
    return 0;
}

/* Return the connection of this thread, made at its first use. */
static int connection(void)
{
    if (self.fd) {
        return self.fd - 1;
    }
    int before = errno, low = hil_dial();
    if (low < 0) {
        errno = before;
        return low == -ENODEV ? lost() : low;
    }
    int fd = (int)syscall(SYS_fcntl, low, F_DUPFD_CLOEXEC, HIGH_FD);
    if (fd < 0) {
        fd = low; /* fewer descriptors than that are allowed */
    } else {
        syscall(SYS_close, low);
    }
    int error = introduce(fd);
    errno = before;
    if (error < 0) {
        syscall(SYS_close, fd);
        return lost();
    }
    mark(fd, MARK_HIDDEN);
    self.fd = fd + 1;
    pthread_setspecific(at_exit, (void *)(intptr_t)self.fd);
    return fd;
}

void hil_clock_locks(void)
{
    self.row = 0;
}

static void begin_anew(void)
{
    self.looks = self.row = 0;
    self.spent_ns = 0;
}

uint32_t hil_clock_ident(void)
{
    begin_anew();
    return hil_virtual() && connection() >= 0 ? self.ident : 0;
}

static int begin(uint64_t until_ns, uint8_t flags, uint32_t address)
{
    for (int attempt = 0; page && attempt < 2; attempt++) {
        int fd = connection();
        if (fd < 0) {
            return fd;
        }
        fs_record next = {.kind = KIND_NEXT, .flags = flags, .address = address};
        next.t_ns = until_ns;
        next.seq = ++self.wait;
        if (record(fd, &next, "") == 0) {
            self.busy = true;
            return fd;
        }
        hang_up(fd); /* somebody has closed it behind our back, or the bench is gone */
        self.fd = 0;
    }
    return lost();
}

int hil_clock_begin(uint64_t until_ns, hil_wait as)
{
    uint32_t address = as == WAIT_SLICED ? ADDRESS_SLICED : 0;
    begin_anew();
    return self.busy ? -EBUSY : begin(until_ns, as == WAIT_ALONE ? 0 : FLAG_WAKE, address);
}

int hil_clock_over(void)
{
    fs_record grant;
    ssize_t got;
    while ((got = recv(self.fd - 1, &grant, sizeof grant, MSG_DONTWAIT | MSG_TRUNC)) > 0) {
        if (grant.kind == KIND_GRANT && grant.seq == self.wait) {
            self.busy = false;
            return 1;
        }
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return 0;
    }
    self.busy = false;
    return lost();
}

void hil_clock_leave(void)
{
    int before = errno;
    fs_record grant = {.kind = KIND_GRANT, .seq = self.wait};
    record(self.fd - 1, &grant, "");
    self.busy = false;
    errno = before;
}

int hil_clock_sleep(uint64_t until_ns)
{
    if (until_ns <= hil_clock_now()) {
        hil_clock_read(); /* a loop that sleeps for no time goes on, too */
        return 0;
    }
    int fd = hil_clock_begin(until_ns, WAIT_ALONE);
    struct pollfd one = {.fd = fd, .events = POLLIN};
    int over = fd < 0 ? fd : 0;
    while (over == 0) {
        long ready = syscall(SYS_ppoll, &one, 1, NULL, NULL, 0);
        over = hil_clock_over();
        if (ready < 0 && over == 0) {
            hil_clock_leave();
            return -EINTR;
        }
    }
    return over < 0 ? over : 0;
}
