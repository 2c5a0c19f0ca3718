/* Wait 10 s in every way there is, and print how long each took by the program's own clock. */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_S = 10, LONG_S = 1000 };

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER, mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_t first;

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static struct timespec from_now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    t.tv_sec += WAIT_S;
    return t;
}

#define TOOK(name, act)                                             \
    do {                                                            \
        double begin = now(CLOCK_MONOTONIC);                        \
        act;                                                        \
        printf("%s %.6f\n", name, now(CLOCK_MONOTONIC) - begin);    \
    } while (0)

static void sleeps(void)
{
    struct timespec span = {WAIT_S, 0}, monotonic = from_now(CLOCK_MONOTONIC), day;
    TOOK("sleep", sleep(WAIT_S));
    TOOK("usleep", usleep(WAIT_S * 1000000));
    TOOK("nanosleep", nanosleep(&span, NULL));
    TOOK("clock_nanosleep", clock_nanosleep(CLOCK_REALTIME, 0, &span, NULL));
    TOOK("past", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &monotonic, NULL));
    monotonic = from_now(CLOCK_MONOTONIC);
    TOOK("monotonic", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &monotonic, NULL));
    day = from_now(CLOCK_REALTIME);
    TOOK("realtime", clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &day, NULL));
}

static void descriptors(void)
{
    struct timespec span = {WAIT_S, 0};
    struct timeval limit = {WAIT_S, 0};
    struct epoll_event event;
    int epoll = epoll_create1(0);
    TOOK("poll", poll(NULL, 0, WAIT_S * 1000));
    TOOK("ppoll", ppoll(NULL, 0, &span, NULL));
    TOOK("select", select(0, NULL, NULL, NULL, &limit));
    TOOK("pselect", pselect(0, NULL, NULL, NULL, &span, NULL));
    TOOK("epoll_wait", epoll_wait(epoll, &event, 1, WAIT_S * 1000));
    TOOK("epoll_pwait", epoll_pwait(epoll, &event, 1, WAIT_S * 1000, NULL));
    close(epoll);
}

static void timers(void)
{
    struct itimerspec span = {.it_value = {WAIT_S, 0}}, at = {.it_value = from_now(CLOCK_MONOTONIC)}, left;
    struct itimerval soon = {.it_value = {WAIT_S, 0}}, before;
    uint64_t times;
    sigset_t alarms;
    int number, fd = timerfd_create(CLOCK_MONOTONIC, 0);
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    sigprocmask(SIG_BLOCK, &alarms, NULL);
    TOOK("timerfd", timerfd_settime(fd, 0, &span, NULL); if (read(fd, &times, sizeof times) < 0) return);
    at.it_value = from_now(CLOCK_MONOTONIC);
    TOOK("timerfd_at", timerfd_settime(fd, TFD_TIMER_ABSTIME, &at, NULL);
         if (read(fd, &times, sizeof times) < 0) return);
    TOOK("setitimer", setitimer(ITIMER_REAL, &soon, NULL); sigwait(&alarms, &number));
    TOOK("alarm", alarm(WAIT_S); sigwait(&alarms, &number));
    span.it_value.tv_sec = LONG_S;
    timerfd_settime(fd, 0, &span, NULL);
    timerfd_gettime(fd, &left);
    printf("left_timerfd %.6f\n", LONG_S - left.it_value.tv_sec - left.it_value.tv_nsec / 1e9);
    alarm(LONG_S);
    setitimer(ITIMER_REAL, &soon, &before);
    printf("left_alarm %.6f\n", LONG_S - before.it_value.tv_sec - before.it_value.tv_usec / 1e6);
    alarm(0);
    close(fd);
}

static void *lock(void *unused)
{
    pthread_rwlock_t both = PTHREAD_RWLOCK_INITIALIZER;
    struct timespec until = from_now(CLOCK_REALTIME);
    pthread_rwlock_rdlock(&both);
    TOOK("rwlock", pthread_rwlock_timedwrlock(&both, &until));
    struct timespec limit = from_now(CLOCK_REALTIME);
    TOOK("mutex", pthread_mutex_timedlock(&held, &limit));
    return unused;
}

static void threads(void)
{
    sem_t semaphore;
    pthread_t other;
    pthread_condattr_t attributes;
    pthread_cond_t day = PTHREAD_COND_INITIALIZER, monotonic;
    sem_init(&semaphore, 0, 0);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&monotonic, &attributes);
    struct timespec limit = from_now(CLOCK_REALTIME);
    TOOK("sem", sem_timedwait(&semaphore, &limit));
    pthread_mutex_lock(&mutex);
    limit = from_now(CLOCK_REALTIME);
    TOOK("cond", pthread_cond_timedwait(&day, &mutex, &limit));
    limit = from_now(CLOCK_MONOTONIC);
    TOOK("cond_monotonic", pthread_cond_timedwait(&monotonic, &mutex, &limit));
    pthread_mutex_lock(&held);
    pthread_create(&other, NULL, lock, NULL);
    pthread_join(other, NULL);
}

static void caught(int number)
{
    (void)number;
}

static void *interrupt(void *unused)
{
    usleep(2000000);
    pthread_kill(first, SIGUSR1);
    return unused;
}

/* What is left of a wait that ends early is told in the program's time. */
static void left(void)
{
    struct sigaction action = {.sa_handler = caught};
    struct timespec span = {LONG_S, 0}, rest = {0, 0};
    struct timeval limit = {LONG_S, 0};
    pthread_t other;
    fd_set writable;
    int ends[2];
    sigaction(SIGUSR1, &action, NULL);
    first = pthread_self();
    double begin = now(CLOCK_MONOTONIC);
    pthread_create(&other, NULL, interrupt, NULL);
    nanosleep(&span, &rest);
    printf("left %.6f\n", now(CLOCK_MONOTONIC) - begin + rest.tv_sec + rest.tv_nsec / 1e9 - LONG_S);
    pthread_join(other, NULL);
    begin = now(CLOCK_MONOTONIC);
    if (pipe(ends) == 0) {
        FD_ZERO(&writable);
        FD_SET(ends[1], &writable);
        select(ends[1] + 1, NULL, &writable, NULL, &limit);
    }
    printf("left_select %.6f\n", now(CLOCK_MONOTONIC) - begin + limit.tv_sec + limit.tv_usec / 1e6 - LONG_S);
}

static void clocks(void)
{
    struct timeval day;
    struct timespec utc;
    double begin = now(CLOCK_MONOTONIC), epoch = now(CLOCK_REALTIME);
    sleep(WAIT_S);
    gettimeofday(&day, NULL);
    printf("gettimeofday %.6f\n", day.tv_sec + day.tv_usec / 1e6 - epoch);
    timespec_get(&utc, TIME_UTC);
    printf("timespec_get %.6f\n", utc.tv_sec + utc.tv_nsec / 1e9 - epoch);
    printf("time %.6f\n", time(NULL) + 1 - epoch);
    printf("monotonic_clock %.6f\n", now(CLOCK_MONOTONIC) - begin);
}

int main(void)
{
    clocks();
    sleeps();
    descriptors();
    timers();
    threads();
    left();
    return 0;
}
