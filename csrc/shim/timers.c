/* Timers and locks that follow the pace, and that virtual time leaves alone: pace.c. */
#include "clock.h"

#include <sys/time.h>
#include <sys/timerfd.h>
#include <unistd.h>

static struct timespec of_timeval(const struct timeval *span)
{
    return (struct timespec){span->tv_sec, span->tv_usec * 1000};
}

static struct timeval to_timeval(struct timespec span)
{
    long us = (span.tv_nsec + 999) / 1000; /* what is armed is not to become nothing */
    return (struct timeval){span.tv_sec + us / 1000000, (suseconds_t)(us % 1000000)};
}

/* --- timers ------------------------------------------------------------------------------------- */

static struct itimerspec wall_of(const struct itimerspec *asked, bool absolute)
{
    const struct timespec *at = &asked->it_value;
    bool armed = at->tv_sec || at->tv_nsec;
    return (struct itimerspec){
        .it_interval = hil_paced_span(&asked->it_interval),
        .it_value = absolute && armed ? hil_paced_instant(hil_clock_of(at), at) : hil_paced_span(at),
    };
}

static void own_of(struct itimerspec *wall)
{
    wall->it_interval = hil_paced_own(&wall->it_interval);
    wall->it_value = hil_paced_own(&wall->it_value);
}

HIL_EXPORT int timerfd_settime(int fd, int flags, const struct itimerspec *asked, struct itimerspec *before)
{
    HIL_REAL(timerfd_settime, int (*)(int, int, const struct itimerspec *, struct itimerspec *))
    if (!hil_is_paced() || !asked) {
        return real(fd, flags, asked, before);
    }
    struct itimerspec wall = wall_of(asked, flags & TFD_TIMER_ABSTIME);
    int result = real(fd, flags, &wall, before);
    if (before && result == 0) {
        own_of(before);
    }
    return result;
}

HIL_EXPORT int timerfd_gettime(int fd, struct itimerspec *left)
{
    HIL_REAL(timerfd_gettime, int (*)(int, struct itimerspec *))
    int result = real(fd, left);
    if (result == 0 && hil_is_paced()) {
        own_of(left);
    }
    return result;
}

HIL_EXPORT int setitimer(__itimer_which_t which, const struct itimerval *asked, struct itimerval *before)
{
    HIL_REAL(setitimer, int (*)(__itimer_which_t, const struct itimerval *, struct itimerval *))
    if (!hil_is_paced() || which != ITIMER_REAL || !asked) {
        return real(which, asked, before);
    }
    struct timespec value = of_timeval(&asked->it_value), interval = of_timeval(&asked->it_interval);
    struct itimerval wall = {to_timeval(hil_paced_span(&interval)), to_timeval(hil_paced_span(&value))};
    int result = real(which, &wall, before);
    if (before && result == 0) {
        value = of_timeval(&before->it_value);
        interval = of_timeval(&before->it_interval);
        *before = (struct itimerval){to_timeval(hil_paced_own(&interval)), to_timeval(hil_paced_own(&value))};
    }
    return result;
}

HIL_EXPORT unsigned alarm(unsigned seconds)
{
    HIL_REAL(alarm, unsigned (*)(unsigned))
    if (!hil_is_paced()) {
        return real(seconds);
    }
    struct itimerval asked = {.it_value = {.tv_sec = (time_t)seconds}}, before = {0};
    setitimer(ITIMER_REAL, &asked, &before);
    return (unsigned)before.it_value.tv_sec + (before.it_value.tv_usec != 0);
}

/* --- locks -------------------------------------------------------------------------------------- */

#define TIMED(name, lock)                                              \
    HIL_EXPORT int name(lock *one, const struct timespec *limit)       \
    {                                                                  \
        HIL_REAL(name, int (*)(lock *, const struct timespec *))       \
        struct timespec wall = hil_paced_instant(CLOCK_REALTIME, limit); \
        return real(one, &wall);                                       \
    }
#define CLOCKED(name, lock)                                                         \
    HIL_EXPORT int name(lock *one, clockid_t clock, const struct timespec *limit);  \
    HIL_EXPORT int name(lock *one, clockid_t clock, const struct timespec *limit)   \
    {                                                                               \
        HIL_REAL(name, int (*)(lock *, clockid_t, const struct timespec *))         \
        struct timespec wall = hil_paced_instant(clock, limit);                     \
        return real(one, clock, &wall);                                             \
    }
TIMED(pthread_rwlock_timedrdlock, pthread_rwlock_t)
TIMED(pthread_rwlock_timedwrlock, pthread_rwlock_t)
CLOCKED(pthread_rwlock_clockrdlock, pthread_rwlock_t)
CLOCKED(pthread_rwlock_clockwrlock, pthread_rwlock_t)
CLOCKED(pthread_mutex_clocklock, pthread_mutex_t)
