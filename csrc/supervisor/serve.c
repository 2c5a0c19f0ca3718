/* Take notifications and answer them, several at a time: a slow bus holds up nobody else. */
#include "supervisor.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { THREADS = 64 };
/* Linux 5.14 hands a descriptor over and answers in one step. */
#ifndef SECCOMP_ADDFD_FLAG_SEND
#define SECCOMP_ADDFD_FLAG_SEND (1UL << 1)
#endif

_Thread_local sv_call sv_now;
int sv_listener = -1;
static _Atomic int idle, threads;

int sv_put(int fd, int place, bool close_on_exec)
{
    struct seccomp_notif_addfd added = {.id = sv_now.id, .srcfd = (uint32_t)fd};
    added.flags = SECCOMP_ADDFD_FLAG_SETFD;
    added.newfd = (uint32_t)place;
    added.newfd_flags = close_on_exec ? O_CLOEXEC : 0;
    return ioctl(sv_listener, SECCOMP_IOCTL_NOTIF_ADDFD, &added) < 0 ? -errno : place;
}

int64_t sv_hand_over(int fd, bool close_on_exec)
{
    struct seccomp_notif_addfd added = {.id = sv_now.id, .srcfd = (uint32_t)fd};
    added.flags = SECCOMP_ADDFD_FLAG_SEND;
    added.newfd_flags = close_on_exec ? O_CLOEXEC : 0;
    if (ioctl(sv_listener, SECCOMP_IOCTL_NOTIF_ADDFD, &added) >= 0) {
        return ANSWERED;
    }
    if (errno != EINVAL) {
        return -errno;
    }
    added.flags = 0;
    int number = ioctl(sv_listener, SECCOMP_IOCTL_NOTIF_ADDFD, &added);
    return number < 0 ? -errno : number;
}

static int64_t answer_of(const struct seccomp_data *data)
{
    for (unsigned i = 0; i < sv_nrows; i++) {
        if (sv_rows[i].number == data->nr) {
            sv_now.row = &sv_rows[i];
            return sv_rows[i].answer((const uint64_t *)data->args);
        }
    }
    return GO_ON;
}

static void *serve(void *nothing);

static void start_thread(void)
{
    pthread_t thread;
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    if (atomic_fetch_add(&threads, 1) >= THREADS || pthread_create(&thread, &detached, serve, NULL)) {
        atomic_fetch_sub(&threads, 1); /* calls queue behind those under way */
    }
    pthread_attr_destroy(&detached);
}

bool sv_answer_one(void)
{
    struct {
        struct seccomp_notif one;
        uint8_t room[256]; /* for a kernel whose struct is longer */
    } asked;
    struct {
        struct seccomp_notif_resp one;
        uint8_t room[256];
    } reply;
    memset(&asked, 0, sizeof asked);
    atomic_fetch_add(&idle, 1);
    int failed = ioctl(sv_listener, SECCOMP_IOCTL_NOTIF_RECV, &asked.one) < 0 ? errno : 0;
    bool alone = atomic_fetch_sub(&idle, 1) == 1;
    if (failed) {
        return failed == EINTR || failed == ENOENT; /* ENOENT: who asked was killed */
    }
    if (alone) {
        start_thread();
    }
    sv_now = (sv_call){asked.one.id, (pid_t)asked.one.pid, NULL};
    int64_t answer = answer_of(&asked.one.data);
    if (answer == ANSWERED) {
        return true;
    }
    memset(&reply.one, 0, sizeof reply.one);
    reply.one.id = asked.one.id;
    if (answer == GO_ON) {
        reply.one.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    } else if (answer < 0) {
        reply.one.error = (int32_t)answer;
    } else {
        reply.one.val = answer;
    }
    ioctl(sv_listener, SECCOMP_IOCTL_NOTIF_SEND, &reply.one); /* fails where who asked was killed */
    return true;
}

static void *serve(void *nothing)
{
    while (sv_answer_one()) {
    }
    return nothing;
}

int sv_serve(void)
{
    start_thread();
    return atomic_load(&threads) ? 0 : -EAGAIN;
}
