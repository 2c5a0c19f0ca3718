/* Waiting for descriptors with a time limit, in virtual time.
 *
 * The thread waits for its descriptors and, beside them, for the bench's word that it is time. */
#include "clock.h"

#include <alloca.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

/* More descriptors than this are waited for in the wall's time. */
#define MOST_FDS 4096
#define NOW_AND_THEN_NS 10000000u

/* One wait. `look` returns how many descriptors are ready, -1 with errno: at once where `bench` is
 * negative, else when there is one or the bench says so. */
typedef struct watch {
    int (*look)(struct watch *, int bench);
    void *of;
    int most, highest; /* descriptor of the bench that `look` can take */
    const sigset_t *mask;
    fd_set *sets[3];
} watch;

/* The same where the bench's word cannot be waited for. */
static int look_now_and_then(watch *one, uint64_t until_ns)
{
    int ready = 0, error = 0;
    while (!ready && !error && hil_clock_now() < until_ns) {
        uint64_t next_ns = hil_clock_after(NOW_AND_THEN_NS);
        error = hil_clock_sleep(next_ns < until_ns ? next_ns : until_ns);
        ready = one->look(one, -1);
    }
    return ready || !error ? ready : hil_result(error);
}

/* Wait until something is ready or it is `until_ns`. */
static int await(watch *one, uint64_t until_ns)
{
    int ready = one->look(one, -1);
    if (ready || until_ns <= hil_clock_now()) {
        hil_clock_read(); /* a loop that only looks goes on, too */
        return ready;
    }
    int bench = hil_clock_begin(until_ns, WAIT_HEARING), over = bench < 0;
    if (bench > one->highest) {
        hil_clock_leave();
        return look_now_and_then(one, until_ns);
    }
    while (!over) {
        ready = one->look(one, bench);
        over = hil_clock_over();
        if (ready && over <= 0) {
            if (over == 0) {
                hil_clock_leave();
            }
            return ready;
        }
    }
    return one->look(one, -1);
}

static bool reaches_bench(int fd)
{
    return fd >= 0 && (hil_of(fd) || hil_clock_marked(fd) != MARK_NONE);
}

/* --- poll --------------------------------------------------------------------------------------- */

typedef int (*poll_type)(struct pollfd *, nfds_t, int);
typedef int (*ppoll_type)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);

static const struct timespec AT_ONCE;

static int look_poll(watch *one, int bench)
{
    HIL_REAL(ppoll, ppoll_type)
    struct pollfd *fds = one->of;
    nfds_t count = (nfds_t)one->most;
    fds[count] = (struct pollfd){.fd = bench, .events = POLLIN};
    int ready = real(fds, count + 1, bench < 0 ? &AT_ONCE : NULL, one->mask);
    return ready > 0 ? ready - (fds[count].revents != 0) : ready;
}

static int virtual_poll(struct pollfd *fds, nfds_t count, uint64_t until_ns, const sigset_t *mask)
{
    struct pollfd *more = alloca((count + 1) * sizeof *fds);
    memcpy(more, fds, count * sizeof *fds);
    watch one = {.look = look_poll, .of = more, .most = (int)count, .highest = INT_MAX, .mask = mask};
    int ready = await(&one, until_ns);
    for (nfds_t i = 0; ready >= 0 && i < count; i++) {
        fds[i].revents = more[i].revents;
    }
    return ready;
}

/* Without a limit it concerns us only where the bench is what may end it. */
static bool concerns(const struct pollfd *fds, nfds_t count, bool limited)
{
    if (!hil_virtual() || !fds || count > MOST_FDS) {
        return limited && count == 0 && hil_virtual();
    }
    for (nfds_t i = 0; i < count && !limited; i++) {
        limited = reaches_bench(fds[i].fd);
    }
    return limited;
}

HIL_EXPORT int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    HIL_TIMED(poll, poll_type)
    if (!concerns(fds, count, timeout_ms >= 0)) {
        return real(fds, count, timeout_ms);
    }
    uint64_t until_ns = timeout_ms < 0 ? HIL_NEVER : hil_clock_after((uint64_t)timeout_ms * 1000000);
    return virtual_poll(fds, count, until_ns, NULL);
}

HIL_EXPORT int __poll_chk(struct pollfd *fds, nfds_t count, int timeout_ms, size_t room);
HIL_EXPORT int __poll_chk(struct pollfd *fds, nfds_t count, int timeout_ms, size_t room)
{
    HIL_REAL(__poll_chk, int (*)(struct pollfd *, nfds_t, int, size_t))
    return room / sizeof *fds < count ? real(fds, count, timeout_ms, room) : poll(fds, count, timeout_ms);
}

HIL_EXPORT int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *limit, const sigset_t *mask)
{
    HIL_TIMED(ppoll, ppoll_type)
    if (!concerns(fds, count, limit != NULL)) {
        return real(fds, count, limit, mask);
    }
    return virtual_poll(fds, count, limit ? hil_clock_after(hil_ns(limit)) : HIL_NEVER, mask);
}

/* --- select ------------------------------------------------------------------------------------- */

typedef int (*select_type)(int, fd_set *, fd_set *, fd_set *, struct timeval *);
typedef int (*pselect_type)(int, fd_set *, fd_set *, fd_set *, const struct timespec *, const sigset_t *);

static int look_select(watch *one, int bench)
{
    HIL_REAL(pselect, pselect_type)
    fd_set found[3], *into[3];
    for (int i = 0; i < 3; i++) {
        FD_ZERO(&found[i]);
        if (one->sets[i]) {
            found[i] = one->sets[i][0];
        }
        into[i] = one->sets[i] || i == 0 ? &found[i] : NULL;
    }
    int most = one->most;
    if (bench >= 0) {
        FD_SET(bench, &found[0]);
        most = bench >= most ? bench + 1 : most;
    }
    int ready = real(most, into[0], into[1], into[2], bench < 0 ? &AT_ONCE : NULL, one->mask);
    if (ready > 0 && bench >= 0 && FD_ISSET(bench, &found[0])) {
        FD_CLR(bench, &found[0]);
        ready--;
    }
    if (ready > 0 || bench < 0) {
        fd_set *results = one->of;
        memcpy(results, found, sizeof found);
    }
    return ready;
}

static int virtual_select(int most, fd_set *sets[3], uint64_t until_ns, const sigset_t *mask)
{
    fd_set results[3];
    watch one = {.look = look_select, .of = results, .most = most, .highest = FD_SETSIZE - 1, .mask = mask};
    memcpy(one.sets, sets, sizeof one.sets);
    int ready = await(&one, until_ns);
    for (int i = 0; ready >= 0 && i < 3; i++) {
        if (sets[i]) {
            *sets[i] = results[i];
        }
    }
    return ready;
}

static bool selects(int most, fd_set *sets[3], bool limited)
{
    if (!hil_virtual() || most > FD_SETSIZE) {
        return false;
    }
    for (int i = 0; i < 2 && !limited; i++) {
        for (int fd = 0; sets[i] && fd < most && !limited; fd++) {
            limited = FD_ISSET(fd, sets[i]) && reaches_bench(fd);
        }
    }
    return limited;
}

HIL_EXPORT int select(int most, fd_set *readable, fd_set *writable, fd_set *other, struct timeval *limit)
{
    HIL_TIMED(select, select_type)
    fd_set *sets[3] = {readable, writable, other};
    if (!selects(most, sets, limit != NULL)) {
        return real(most, readable, writable, other, limit);
    }
    uint64_t until_ns = HIL_NEVER;
    if (limit) {
        struct timespec span = {limit->tv_sec + limit->tv_usec / 1000000, limit->tv_usec % 1000000 * 1000};
        until_ns = hil_clock_after(hil_ns(&span));
    }
    int ready = virtual_select(most, sets, until_ns, NULL);
    if (limit && ready >= 0) { /* Linux leaves what is left */
        uint64_t now_ns = hil_clock_now(), left_us = until_ns > now_ns ? (until_ns - now_ns) / 1000 : 0;
        *limit = (struct timeval){(time_t)(left_us / 1000000), (suseconds_t)(left_us % 1000000)};
    }
    return ready;
}

HIL_EXPORT int pselect(int most, fd_set *readable, fd_set *writable, fd_set *other,
                       const struct timespec *limit, const sigset_t *mask)
{
    HIL_TIMED(pselect, pselect_type)
    fd_set *sets[3] = {readable, writable, other};
    if (!selects(most, sets, limit != NULL)) {
        return real(most, readable, writable, other, limit, mask);
    }
    return virtual_select(most, sets, limit ? hil_clock_after(hil_ns(limit)) : HIL_NEVER, mask);
}

/* --- epoll -------------------------------------------------------------------------------------- */

typedef int (*epoll_type)(int, struct epoll_event *, int, int);
typedef int (*epoll_pwait_type)(int, struct epoll_event *, int, int, const sigset_t *);
typedef struct {
    int epoll;
    struct epoll_event *events;
} epoll_wait_of;

static int look_epoll(watch *one, int bench)
{
    HIL_REAL(epoll_wait, epoll_type)
    HIL_REAL_AS(ppoll, wait, ppoll_type)
    epoll_wait_of *of = one->of;
    if (bench >= 0) {
        struct pollfd both[2] = {{.fd = of->epoll, .events = POLLIN}, {.fd = bench, .events = POLLIN}};
        if (wait(both, 2, NULL, one->mask) < 0) {
            return -1;
        }
    }
    return real(of->epoll, of->events, one->most, 0);
}

static int virtual_epoll(int epoll, struct epoll_event *events, int most, int timeout_ms, const sigset_t *mask)
{
    epoll_wait_of of = {epoll, events};
    watch one = {.look = look_epoll, .of = &of, .most = most, .highest = INT_MAX, .mask = mask};
    return await(&one, timeout_ms < 0 ? HIL_NEVER : hil_clock_after((uint64_t)timeout_ms * 1000000));
}

static bool waits(int epoll, int timeout_ms)
{
    return hil_virtual() && (timeout_ms >= 0 || hil_clock_marked(epoll) != MARK_NONE);
}

HIL_EXPORT int epoll_wait(int epoll, struct epoll_event *events, int most, int timeout_ms)
{
    HIL_TIMED(epoll_wait, epoll_type)
    return waits(epoll, timeout_ms) ? virtual_epoll(epoll, events, most, timeout_ms, NULL)
                                    : real(epoll, events, most, timeout_ms);
}

HIL_EXPORT int epoll_pwait(int epoll, struct epoll_event *events, int most, int timeout_ms, const sigset_t *mask)
{
    HIL_TIMED(epoll_pwait, epoll_pwait_type)
    return waits(epoll, timeout_ms) ? virtual_epoll(epoll, events, most, timeout_ms, mask)
                                    : real(epoll, events, most, timeout_ms, mask);
}

HIL_EXPORT int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    HIL_REAL(epoll_ctl, int (*)(int, int, int, struct epoll_event *))
    int result = real(epoll, operation, fd, event);
    if (result == 0 && operation == EPOLL_CTL_ADD && hil_virtual() && reaches_bench(fd)) {
        hil_clock_mark(epoll, MARK_BENCH);
    }
    return result;
}

/* --- reading what the bench sends --------------------------------------------------------------- */

void hil_clock_await_input(int fd)
{
    if (!hil_virtual() || !reaches_bench(fd) || fcntl(fd, F_GETFL) & O_NONBLOCK) {
        return;
    }
    uint64_t until_ns = HIL_NEVER;
    struct termios settings;
    if (hil_clock_marked(fd) != MARK_NONE && tcgetattr(fd, &settings) == 0 && !(settings.c_lflag & ICANON)
        && !settings.c_cc[VMIN]) {
        until_ns = hil_clock_after(settings.c_cc[VTIME] * UINT64_C(100000000));
    }
    struct pollfd one[2] = {{.fd = fd, .events = POLLIN}};
    watch input = {.look = look_poll, .of = one, .most = 1, .highest = INT_MAX};
    int before = errno;
    await(&input, until_ns);
    errno = before;
}
