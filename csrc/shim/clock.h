/* A program's clock in virtual time: `hil run --virtual-time`, docs/virtual-time.md.
 *
 * Where a file `clock` lies beside the bench's socket, its page holds the virtual time, and each
 * thread that waits does so at the bench, over a connection of its own. Without the file everything
 * here is off and the functions of libc do as ever.
 */
#ifndef FLATSAT_SHIM_CLOCK_H
#define FLATSAT_SHIM_CLOCK_H

#include "shim.h"

#include <time.h>

#define HIL_NEVER INT64_MAX

/* Tell whether a clock runs in virtual time; `offset_ns`: what it shows at virtual time 0. */
bool hil_clock_is(clockid_t clock, uint64_t *offset_ns);
/* Return the virtual time of this thread and charge it for looking. */
uint64_t hil_clock_read(void);
/* Who looks at the clock between taking locks does not wait for it to go on. */
void hil_clock_locks(void);

/* How a thread waits: for the bench alone, or also for something that the bench cannot see, either
 * hearing the bench at once or looking for its word from time to time. */
typedef enum { WAIT_ALONE, WAIT_HEARING, WAIT_SLICED } hil_wait;

/* Begin to wait until `until_ns`; returns a descriptor that is readable when it is time, or a
 * negative errno. */
int hil_clock_begin(uint64_t until_ns, hil_wait as);
/* Tell whether it is time: 1 yes, 0 not yet, negative errno. Does not block. */
int hil_clock_over(void);
/* End the wait: what else was waited for has come, or the thread has seen that it is time. */
void hil_clock_leave(void);
/* Wait until `until_ns`: 0, or -EINTR after a signal, or -ENODEV without a bench. */
int hil_clock_sleep(uint64_t until_ns);

/* Return the virtual time `span` from now, and that of an instant on a clock with this offset. */
uint64_t hil_clock_after(uint64_t span_ns);
uint64_t hil_clock_at(const struct timespec *instant, uint64_t offset_ns);

/* Map the file of this name beside the bench's socket; NULL where there is none. */
void *hil_map(const char *name, size_t nbytes);

/* The next definition of a function that has to do with time: libc's, or that of the pace (pace.c). */
typedef void (*hil_function)(void);
hil_function hil_paced(const char *name); /* NULL: libc's will do */
bool hil_is_paced(void);
/* Return how long a span of the program lasts on the wall, how long one of the wall is to the program,
 * and when an instant of the program is on the wall's clock of that name. */
struct timespec hil_paced_span(const struct timespec *span);
struct timespec hil_paced_own(const struct timespec *wall);
struct timespec hil_paced_instant(clockid_t clock, const struct timespec *limit);
#define HIL_TIMED_BY(otherwise, name, type)             \
    static __typeof__(type) real;                       \
    if (!real) {                                        \
        real = (__typeof__(type))hil_paced(#name);      \
    }                                                   \
    if (!real) {                                        \
        otherwise(name, next, type)                     \
        real = next;                                    \
    }
#define HIL_TIMED(name, type) HIL_TIMED_BY(HIL_REAL_AS, name, type)
#define HIL_TIMED_COND(name, type) HIL_TIMED_BY(HIL_REAL_COND, name, type)

/* dlsym may find the condition variables of 2002 before today's. */
#define HIL_REAL_COND(name, variable, type)                              \
    static __typeof__(type) variable;                                    \
    if (!variable) {                                                     \
        void *found = dlvsym(RTLD_NEXT, #name, "GLIBC_2.3.2");           \
        *(void **)(&variable) = found ? found : dlsym(RTLD_NEXT, #name); \
    }

static inline uint64_t hil_ns(const struct timespec *time)
{
    return time->tv_sec < 0 ? 0
           : time->tv_sec > HIL_NEVER / 2000000000
               ? HIL_NEVER / 2
               : (uint64_t)time->tv_sec * 1000000000u + (uint64_t)time->tv_nsec;
}

static inline struct timespec hil_timespec(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
}

static inline bool hil_valid(const struct timespec *time)
{
    return time->tv_sec >= 0 && time->tv_nsec >= 0 && time->tv_nsec < 1000000000;
}

/* Return the clock of a limit that does not name one: monotonic clocks show less than this. */
static inline clockid_t hil_clock_of(const struct timespec *limit)
{
    return limit->tv_sec < 500000000 ? CLOCK_MONOTONIC : CLOCK_REALTIME;
}

#endif
