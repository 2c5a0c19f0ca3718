/* Waiting for other threads with a time limit, in virtual time.
 *
 * Nothing outside libc can end such a wait, so it is cut into short ones of the wall's time; after
 * each the thread looks whether the bench has said that it is time. How often that is has no
 * influence on what the program sees. */
#include "clock.h"

#include <semaphore.h>

/* Cut into waits of 0.1 ms at first, of 2 ms in the end. */
#define SLICE_NS 100000u
#define SLICE_MOST_NS 2000000u

/* What to wait for: `once` waits until `limit` of the wall and returns 0, ETIMEDOUT, or an errno. */
typedef struct wanted {
    int (*once)(struct wanted *, const struct timespec *limit);
    void *of, *mutex;
    clockid_t clock;
} wanted;

static int wait_for(wanted *one, const struct timespec *limit)
{
    HIL_REAL(clock_gettime, int (*)(clockid_t, struct timespec *))
    uint64_t offset_ns = 0;
    hil_clock_is(one->clock, &offset_ns);
    uint64_t until_ns = hil_clock_at(limit, offset_ns), slice_ns = SLICE_NS;
    int bench = hil_clock_begin(until_ns, WAIT_SLICED), result = ETIMEDOUT, over = 0;
    if (bench < 0) { /* without it the wall's time has to do */
        struct timespec now;
        real(one->clock, &now);
        now = hil_timespec(hil_ns(&now) + until_ns - hil_clock_now());
        return one->once(one, &now);
    }
    while (over == 0 && result == ETIMEDOUT) {
        struct timespec now;
        real(one->clock, &now);
        struct timespec until = hil_timespec(hil_ns(&now) + slice_ns);
        result = one->once(one, &until);
        slice_ns = slice_ns < SLICE_MOST_NS ? slice_ns * 2 : slice_ns;
        over = result == ETIMEDOUT ? hil_clock_over() : 0;
    }
    if (over >= 0) {
        hil_clock_leave();
    }
    return result;
}

/* --- semaphores --------------------------------------------------------------------------------- */

typedef int (*sem_type)(sem_t *, const struct timespec *);
typedef int (*sem_clock_type)(sem_t *, clockid_t, const struct timespec *);

static int sem_once(wanted *one, const struct timespec *limit)
{
    HIL_REAL(sem_timedwait, sem_type)
    HIL_REAL_AS(sem_clockwait, with_clock, sem_clock_type)
    int failed = one->clock == CLOCK_REALTIME ? real(one->of, limit) : with_clock(one->of, one->clock, limit);
    return failed ? errno : 0;
}

static int virtual_sem(sem_t *semaphore, clockid_t clock, const struct timespec *limit)
{
    if (sem_trywait(semaphore) == 0) {
        return 0;
    }
    int before = errno;
    wanted one = {.once = sem_once, .of = semaphore, .clock = clock};
    int error = wait_for(&one, limit);
    errno = error ? error : before;
    return error ? -1 : 0;
}

#define SEM(name)                                   \
    HIL_EXPORT int name(sem_t *semaphore)           \
    {                                               \
        HIL_REAL(name, int (*)(sem_t *))            \
        hil_clock_locks();                          \
        return real(semaphore);                     \
    }
SEM(sem_wait)
SEM(sem_trywait)

HIL_EXPORT int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict limit)
{
    HIL_TIMED(sem_timedwait, sem_type)
    return hil_virtual() && hil_valid(limit) ? virtual_sem(semaphore, CLOCK_REALTIME, limit)
                                             : real(semaphore, limit);
}

HIL_EXPORT int sem_clockwait(sem_t *restrict semaphore, clockid_t clock, const struct timespec *restrict limit);
HIL_EXPORT int sem_clockwait(sem_t *restrict semaphore, clockid_t clock, const struct timespec *restrict limit)
{
    HIL_TIMED(sem_clockwait, sem_clock_type)
    return hil_virtual() && hil_valid(limit) ? virtual_sem(semaphore, clock, limit)
                                             : real(semaphore, clock, limit);
}

/* --- conditions --------------------------------------------------------------------------------- */

typedef int (*cond_type)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
typedef int (*cond_clock_type)(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *);
typedef int (*signal_type)(pthread_cond_t *);

/* Signals so far, by condition: one that comes between two slices is not to be missed. */
static _Atomic uint32_t signals[64];

static _Atomic uint32_t *signals_of(const void *condition)
{
    return &signals[(uintptr_t)condition / sizeof(pthread_cond_t) % 64];
}

static int cond_once(wanted *one, const struct timespec *limit)
{
    HIL_REAL_COND(pthread_cond_timedwait, real, cond_type)
    return real(one->of, one->mutex, limit);
}

static int cond_clock_once(wanted *one, const struct timespec *limit)
{
    HIL_REAL(pthread_cond_clockwait, cond_clock_type)
    return real(one->of, one->mutex, one->clock, limit);
}

typedef struct {
    wanted wanted;
    int (*once)(wanted *, const struct timespec *);
    uint32_t before;
} condition;

/* A wait that ends because somebody has signalled meanwhile: those who wait look again. */
static int once_or_signalled(wanted *one, const struct timespec *limit)
{
    condition *wait = (condition *)one;
    int result = wait->once(one, limit);
    bool missed = result == ETIMEDOUT && atomic_load(signals_of(one->of)) != wait->before;
    return missed ? 0 : result;
}

static int virtual_cond(wanted one, const struct timespec *limit)
{
    condition wait = {.wanted = one, .once = one.once, .before = atomic_load(signals_of(one.of))};
    wait.wanted.once = once_or_signalled;
    int before = errno, result = wait_for(&wait.wanted, limit);
    errno = before;
    return result;
}

HIL_EXPORT int pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
                                      const struct timespec *restrict limit)
{
    HIL_TIMED_COND(pthread_cond_timedwait, cond_type)
    wanted one = {.once = cond_once, .of = cond, .mutex = mutex, .clock = hil_clock_of(limit)};
    return hil_virtual() && hil_valid(limit) ? virtual_cond(one, limit) : real(cond, mutex, limit);
}

HIL_EXPORT int pthread_cond_clockwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
                                      clockid_t clock, const struct timespec *restrict limit);
HIL_EXPORT int pthread_cond_clockwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
                                      clockid_t clock, const struct timespec *restrict limit)
{
    HIL_TIMED(pthread_cond_clockwait, cond_clock_type)
    wanted one = {.once = cond_clock_once, .of = cond, .mutex = mutex, .clock = clock};
    return hil_virtual() && hil_valid(limit) ? virtual_cond(one, limit) : real(cond, mutex, clock, limit);
}

HIL_EXPORT int pthread_cond_signal(pthread_cond_t *cond)
{
    HIL_REAL_COND(pthread_cond_signal, real, signal_type)
    atomic_fetch_add(signals_of(cond), 1);
    return real(cond);
}

HIL_EXPORT int pthread_cond_broadcast(pthread_cond_t *cond)
{
    HIL_REAL_COND(pthread_cond_broadcast, real, signal_type)
    atomic_fetch_add(signals_of(cond), 1);
    return real(cond);
}

/* --- mutexes ------------------------------------------------------------------------------------ */

typedef int (*mutex_type)(pthread_mutex_t *, const struct timespec *);

static int mutex_once(wanted *one, const struct timespec *limit)
{
    HIL_REAL(pthread_mutex_timedlock, mutex_type)
    return real(one->of, limit);
}

HIL_EXPORT int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict limit)
{
    HIL_TIMED(pthread_mutex_timedlock, mutex_type)
    if (!hil_virtual() || !hil_valid(limit)) {
        return real(mutex, limit);
    }
    int error = pthread_mutex_trylock(mutex);
    wanted one = {.once = mutex_once, .of = mutex, .clock = CLOCK_REALTIME};
    return error == EBUSY ? wait_for(&one, limit) : error;
}
