/* Reading the clock, and sleeping, in virtual time. */
#include "clock.h"

#include <sched.h>
#include <sys/time.h>
#include <unistd.h>

HIL_EXPORT int clock_gettime(clockid_t clock, struct timespec *time)
{
    HIL_TIMED(clock_gettime, int (*)(clockid_t, struct timespec *))
    uint64_t offset_ns;
    if (!hil_clock_is(clock, &offset_ns)) {
        return real(clock, time);
    }
    *time = hil_timespec(offset_ns + hil_clock_read());
    return 0;
}

HIL_EXPORT int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    HIL_TIMED(gettimeofday, int (*)(struct timeval *, void *))
    uint64_t offset_ns;
    if (!hil_clock_is(CLOCK_REALTIME, &offset_ns)) {
        return real(time, zone);
    }
    uint64_t us = (offset_ns + hil_clock_read()) / 1000;
    *time = (struct timeval){.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};
    return 0;
}

HIL_EXPORT time_t time(time_t *place)
{
    HIL_TIMED(time, time_t(*)(time_t *))
    uint64_t offset_ns;
    if (!hil_clock_is(CLOCK_REALTIME, &offset_ns)) {
        return real(place);
    }
    time_t now = (time_t)((offset_ns + hil_clock_read()) / 1000000000u);
    if (place) {
        *place = now;
    }
    return now;
}

HIL_EXPORT int timespec_get(struct timespec *time, int base)
{
    HIL_TIMED(timespec_get, int (*)(struct timespec *, int))
    return base == TIME_UTC && hil_virtual() ? (clock_gettime(CLOCK_REALTIME, time), base) : real(time, base);
}

/* Who waits for another thread by yielding pays for looking, and so comes to that thread's time. */
HIL_EXPORT int sched_yield(void)
{
    HIL_REAL(sched_yield, int (*)(void))
    if (hil_virtual()) {
        hil_clock_read();
    }
    return real();
}

/* --- sleeping ----------------------------------------------------------------------------------- */

typedef int (*sleep_type)(clockid_t, int, const struct timespec *, struct timespec *);

HIL_EXPORT int clock_nanosleep(clockid_t clock, int flags, const struct timespec *asked, struct timespec *left)
{
    HIL_TIMED(clock_nanosleep, sleep_type)
    uint64_t offset_ns;
    if (!asked || !hil_valid(asked) || !hil_clock_is(clock, &offset_ns)) {
        return real(clock, flags, asked, left);
    }
    bool absolute = flags & TIMER_ABSTIME;
    uint64_t until_ns = absolute ? hil_clock_at(asked, offset_ns) : hil_clock_after(hil_ns(asked));
    int before = errno, result = hil_clock_sleep(until_ns);
    errno = before;
    if (result == -EINTR && !absolute && left) {
        uint64_t now_ns = hil_clock_now();
        *left = hil_timespec(until_ns > now_ns ? until_ns - now_ns : 0);
    }
    /* Without the bench, or in a handler that has interrupted a wait, the wall's time has to do. */
    return result == -EINTR ? EINTR : result < 0 && !absolute ? real(clock, flags, asked, left) : 0;
}

HIL_EXPORT int nanosleep(const struct timespec *asked, struct timespec *left)
{
    HIL_TIMED(nanosleep, int (*)(const struct timespec *, struct timespec *))
    if (!hil_virtual()) {
        return real(asked, left);
    }
    return hil_result(-clock_nanosleep(CLOCK_MONOTONIC, 0, asked, left));
}

HIL_EXPORT int usleep(useconds_t us)
{
    HIL_TIMED(usleep, int (*)(useconds_t))
    struct timespec asked = hil_timespec((uint64_t)us * 1000);
    return hil_virtual() ? nanosleep(&asked, NULL) : real(us);
}

HIL_EXPORT unsigned sleep(unsigned seconds)
{
    HIL_TIMED(sleep, unsigned (*)(unsigned))
    struct timespec asked = {.tv_sec = (time_t)seconds}, left = {0};
    if (!hil_virtual()) {
        return real(seconds);
    }
    return nanosleep(&asked, &left) < 0 ? (unsigned)left.tv_sec + (left.tv_nsec >= 500000000) : 0;
}
