/* Programs at another pace: `hil run --pace xN`, docs/shim.md.
 *
 * Where a file `pace` lies beside the bench's socket, a program's clocks run N times as fast as the
 * wall's, and what it waits for lasts a Nth of that. These are libc's functions for such a program:
 * the hooks for virtual time take them in place of those of libc (HIL_TIMED). Without the file they
 * are not there.
 */
#include "clock.h"

#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/time.h>
#include <unistd.h>

/* Within so much of a limit the kernel may end a wait, and a pace makes that N times as much. */
#define SLACK_NS 50000

/* Written by the bench: at `base_ns` of the wall's CLOCK_MONOTONIC all clocks show what they are. */
enum { REALTIME, TAI, RAW, BOOTTIME, CLOCKS };
typedef struct {
    double factor;
    uint64_t base_ns;
    uint64_t clock_ns[CLOCKS];
} pace_page;

static const pace_page *page;
static bool looked;

__attribute__((constructor)) static void look(void)
{
    if (!looked) {
        looked = true;
        page = hil_map("pace", sizeof *page);
        if (page && page->factor > 1) {
            unsigned long slack_ns = (unsigned long)(SLACK_NS / page->factor);
            prctl(PR_SET_TIMERSLACK, slack_ns ? slack_ns : 1, 0, 0, 0);
        }
    }
}

/* --- from clock to clock ------------------------------------------------------------------------ */

static uint64_t wall_ns(clockid_t clock)
{
    HIL_REAL(clock_gettime, int (*)(clockid_t, struct timespec *))
    struct timespec now = {0};
    real(clock, &now);
    return hil_ns(&now);
}

/* Tell whether a clock follows the pace, and what it shows when that began. */
static bool follows(clockid_t clock, uint64_t *began_ns)
{
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        *began_ns = page->clock_ns[REALTIME];
        return true;
    case CLOCK_TAI:
        *began_ns = page->clock_ns[TAI];
        return true;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
        *began_ns = page->base_ns;
        return true;
    case CLOCK_MONOTONIC_RAW:
        *began_ns = page->clock_ns[RAW];
        return true;
    case CLOCK_BOOTTIME:
        *began_ns = page->clock_ns[BOOTTIME];
        return true;
    default:
        return false; /* processor time is what it is */
    }
}

/* Return what a clock shows that showed `began_ns` at the beginning. */
static uint64_t shown_ns(uint64_t began_ns)
{
    return began_ns + (uint64_t)((double)(wall_ns(CLOCK_MONOTONIC) - page->base_ns) * page->factor);
}

/* Return how long a span of the program lasts on the wall; not less, and not nothing. */
static uint64_t lasts_ns(uint64_t span_ns)
{
    double wall = (double)span_ns / page->factor;
    return wall > 2e18 ? HIL_NEVER / 4 : (uint64_t)wall + (span_ns != 0);
}

struct timespec hil_paced_span(const struct timespec *span)
{
    return page && hil_valid(span) ? hil_timespec(lasts_ns(hil_ns(span))) : *span;
}

struct timespec hil_paced_own(const struct timespec *wall)
{
    return hil_timespec((uint64_t)((double)hil_ns(wall) * page->factor));
}

/* Return when an instant of the program is, on the wall's clock of that name. */
struct timespec hil_paced_instant(clockid_t clock, const struct timespec *limit)
{
    uint64_t began_ns;
    if (!page || !hil_valid(limit) || !follows(clock, &began_ns)) {
        return *limit;
    }
    uint64_t limit_ns = hil_ns(limit), now_ns = shown_ns(began_ns), real_ns = wall_ns(clock);
    return hil_timespec(limit_ns > now_ns ? real_ns + lasts_ns(limit_ns - now_ns) : real_ns);
}

/* --- clocks ------------------------------------------------------------------------------------- */

static int paced_clock_gettime(clockid_t clock, struct timespec *time)
{
    HIL_REAL(clock_gettime, int (*)(clockid_t, struct timespec *))
    uint64_t began_ns;
    if (!time || !follows(clock, &began_ns)) {
        return real(clock, time);
    }
    *time = hil_timespec(shown_ns(began_ns));
    return 0;
}

static int paced_gettimeofday(struct timeval *time, void *zone)
{
    HIL_REAL(gettimeofday, int (*)(struct timeval *, void *))
    int result = real(time, zone);
    if (time && result == 0) {
        uint64_t us = shown_ns(page->clock_ns[REALTIME]) / 1000;
        *time = (struct timeval){.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};
    }
    return result;
}

static time_t paced_time(time_t *place)
{
    time_t now = (time_t)(shown_ns(page->clock_ns[REALTIME]) / 1000000000u);
    if (place) {
        *place = now;
    }
    return now;
}

static int paced_timespec_get(struct timespec *time, int base)
{
    HIL_REAL(timespec_get, int (*)(struct timespec *, int))
    return base == TIME_UTC ? (paced_clock_gettime(CLOCK_REALTIME, time), base) : real(time, base);
}

/* --- sleeping ----------------------------------------------------------------------------------- */

typedef int (*sleep_type)(clockid_t, int, const struct timespec *, struct timespec *);

static int paced_clock_nanosleep(clockid_t clock, int flags, const struct timespec *asked,
                                 struct timespec *left)
{
    HIL_REAL(clock_nanosleep, sleep_type)
    uint64_t began_ns;
    if (!asked || !follows(clock, &began_ns)) {
        return real(clock, flags, asked, left);
    }
    bool absolute = flags & TIMER_ABSTIME;
    struct timespec wall = absolute ? hil_paced_instant(clock, asked) : hil_paced_span(asked), rest;
    int result = real(clock, flags, &wall, &rest);
    if (result == EINTR && !absolute && left) {
        *left = hil_paced_own(&rest);
    }
    return result;
}

static int paced_nanosleep(const struct timespec *asked, struct timespec *left)
{
    return hil_result(-paced_clock_nanosleep(CLOCK_MONOTONIC, 0, asked, left));
}

static int paced_usleep(useconds_t us)
{
    struct timespec asked = hil_timespec((uint64_t)us * 1000);
    return paced_nanosleep(&asked, NULL);
}

static unsigned paced_sleep(unsigned seconds)
{
    struct timespec asked = {.tv_sec = (time_t)seconds}, left = {0};
    return paced_nanosleep(&asked, &left) < 0 ? (unsigned)left.tv_sec + (left.tv_nsec >= 500000000) : 0;
}

/* --- descriptors -------------------------------------------------------------------------------- */

typedef int (*ppoll_type)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);
typedef int (*pselect_type)(int, fd_set *, fd_set *, fd_set *, const struct timespec *, const sigset_t *);

static int paced_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *limit, const sigset_t *mask)
{
    HIL_REAL(ppoll, ppoll_type)
    struct timespec wall = limit ? hil_paced_span(limit) : (struct timespec){0};
    return real(fds, count, limit ? &wall : NULL, mask);
}

static int paced_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    struct timespec limit = hil_timespec(timeout_ms > 0 ? (uint64_t)timeout_ms * 1000000 : 0);
    return paced_ppoll(fds, count, timeout_ms < 0 ? NULL : &limit, NULL);
}

static int paced_pselect(int most, fd_set *readable, fd_set *writable, fd_set *other,
                         const struct timespec *limit, const sigset_t *mask)
{
    HIL_REAL(pselect, pselect_type)
    struct timespec wall = limit ? hil_paced_span(limit) : (struct timespec){0};
    return real(most, readable, writable, other, limit ? &wall : NULL, mask);
}

static int paced_select(int most, fd_set *readable, fd_set *writable, fd_set *other, struct timeval *limit)
{
    if (!limit || limit->tv_sec < 0 || limit->tv_usec < 0) {
        HIL_REAL(select, int (*)(int, fd_set *, fd_set *, fd_set *, struct timeval *))
        return real(most, readable, writable, other, limit);
    }
    struct timespec span = {limit->tv_sec + limit->tv_usec / 1000000, limit->tv_usec % 1000000 * 1000};
    uint64_t until_ns = shown_ns(0) + hil_ns(&span);
    int ready = paced_pselect(most, readable, writable, other, &span, NULL), error = errno;
    uint64_t now_ns = shown_ns(0), left_us = until_ns > now_ns ? (until_ns - now_ns) / 1000 : 0;
    *limit = (struct timeval){(time_t)(left_us / 1000000), (suseconds_t)(left_us % 1000000)};
    errno = error;
    return ready;
}

/* Milliseconds of the wall are too long: the limit is one for its descriptor. */
static int paced_epoll_pwait(int epoll, struct epoll_event *events, int most, int timeout_ms,
                             const sigset_t *mask)
{
    HIL_REAL(epoll_pwait, int (*)(int, struct epoll_event *, int, int, const sigset_t *))
    if (timeout_ms <= 0) {
        return real(epoll, events, most, timeout_ms, mask);
    }
    uint64_t until_ns = shown_ns(0) + (uint64_t)timeout_ms * 1000000;
    int ready = real(epoll, events, most, 0, mask);
    for (uint64_t now_ns = shown_ns(0); ready == 0 && now_ns < until_ns; now_ns = shown_ns(0)) {
        struct pollfd one = {.fd = epoll, .events = POLLIN};
        struct timespec left = hil_timespec(until_ns - now_ns);
        if (paced_ppoll(&one, 1, &left, mask) < 0) {
            return -1;
        }
        ready = real(epoll, events, most, 0, mask); /* somebody else may have been quicker */
    }
    return ready;
}

static int paced_epoll_wait(int epoll, struct epoll_event *events, int most, int timeout_ms)
{
    return paced_epoll_pwait(epoll, events, most, timeout_ms, NULL);
}

/* --- other threads ------------------------------------------------------------------------------ */

static int paced_sem_timedwait(sem_t *semaphore, const struct timespec *limit)
{
    HIL_REAL(sem_timedwait, int (*)(sem_t *, const struct timespec *))
    struct timespec wall = hil_paced_instant(CLOCK_REALTIME, limit);
    return real(semaphore, &wall);
}

static int paced_sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *limit)
{
    HIL_REAL(sem_clockwait, int (*)(sem_t *, clockid_t, const struct timespec *))
    struct timespec wall = hil_paced_instant(clock, limit);
    return real(semaphore, clock, &wall);
}

static int paced_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                        const struct timespec *limit)
{
    HIL_REAL_COND(pthread_cond_timedwait, real,
                  int (*)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *))
    struct timespec wall = hil_paced_instant(hil_clock_of(limit), limit);
    return real(cond, mutex, &wall);
}

static int paced_pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *mutex, clockid_t clock,
                                        const struct timespec *limit)
{
    HIL_REAL(pthread_cond_clockwait,
             int (*)(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *))
    struct timespec wall = hil_paced_instant(clock, limit);
    return real(cond, mutex, clock, &wall);
}

static int paced_pthread_mutex_timedlock(pthread_mutex_t *mutex, const struct timespec *limit)
{
    HIL_REAL(pthread_mutex_timedlock, int (*)(pthread_mutex_t *, const struct timespec *))
    struct timespec wall = hil_paced_instant(CLOCK_REALTIME, limit);
    return real(mutex, &wall);
}

/* --- which of them there are -------------------------------------------------------------------- */

#define PACED(name) {#name, (hil_function)paced_##name}
static const struct {
    const char *name;
    hil_function function;
} PACED_CALLS[] = {
    PACED(clock_gettime),
    PACED(gettimeofday),
    PACED(time),
    PACED(timespec_get),
    PACED(clock_nanosleep),
    PACED(nanosleep),
    PACED(usleep),
    PACED(sleep),
    PACED(poll),
    PACED(ppoll),
    PACED(select),
    PACED(pselect),
    PACED(epoll_wait),
    PACED(epoll_pwait),
    PACED(sem_timedwait),
    PACED(sem_clockwait),
    PACED(pthread_cond_timedwait),
    PACED(pthread_cond_clockwait),
    PACED(pthread_mutex_timedlock),
};

bool hil_is_paced(void)
{
    look(); /* somebody's constructor may have read the clock before ours has run */
    return page != NULL;
}

hil_function hil_paced(const char *name)
{
    for (size_t i = 0; hil_is_paced() && i < sizeof PACED_CALLS / sizeof *PACED_CALLS; i++) {
        if (!strcmp(PACED_CALLS[i].name, name)) {
            return PACED_CALLS[i].function;
        }
    }
    return NULL;
}
