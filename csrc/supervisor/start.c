/* Put a process under the filter, and try whether that can work here. */
#include "supervisor.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int send_descriptor(int to, int fd)
{
    char octet = 0, room[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec one = {&octet, 1};
    struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
    return sendmsg(to, &message, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

int sv_take_descriptor(int from)
{
    int fd;
    char octet, room[CMSG_SPACE(sizeof fd)];
    struct iovec one = {&octet, 1};
    struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    struct cmsghdr *head = recvmsg(from, &message, MSG_CMSG_CLOEXEC) == 1 ? CMSG_FIRSTHDR(&message) : NULL;
    if (!head || head->cmsg_type != SCM_RIGHTS) {
        return -1;
    }
    memcpy(&fd, CMSG_DATA(head), sizeof fd);
    return fd;
}

int sv_go_under(int server)
{
    int listener = sv_install();
    int error = listener < 0 ? -listener : -send_descriptor(server, listener);
    close(listener);
    close(server);
    return error;
}

/* What the trial asks for, and the answer that only we give. */
#define QUESTION "/dev/hil-supervisor"
enum { ANSWER = EDOM };

static int answer_trial(void)
{
    union {
        struct seccomp_notif one;
        uint8_t room[512];
    } asked;
    char path[HIL_PATH];
    memset(&asked, 0, sizeof asked);
    if (ioctl(sv_listener, SECCOMP_IOCTL_NOTIF_RECV, &asked.one) < 0) {
        return ENOSYS;
    }
    sv_now = (sv_call){asked.one.id, (pid_t)asked.one.pid, NULL};
    bool seen = sv_path(asked.one.data.args[1], path) == 0 && !strcmp(path, QUESTION);
    struct seccomp_notif_resp reply = {.id = asked.one.id, .error = -ANSWER};
    ioctl(sv_listener, SECCOMP_IOCTL_NOTIF_SEND, &reply);
    return seen ? 0 : EACCES;
}

static int tell(int error)
{
    switch (error) {
    case 0:
        return 0;
    case EBUSY:
        puts("another supervisor watches already, and Linux lets there be one; start `hil run` outside of it");
        break;
    case EACCES:
        puts("a process may not look into its children here; in a container add the capability SYS_PTRACE, "
             "elsewhere set kernel.yama.ptrace_scope to 0 or 1");
        break;
    case EPERM:
        puts("seccomp is forbidden here; start the container with `--security-opt seccomp=unconfined`");
        break;
    default:
        printf("no seccomp user notification here (%s); it takes Linux 5.9 or later, with CONFIG_SECCOMP_FILTER\n",
               strerror(error));
    }
    return 1;
}

int sv_try(void)
{
    int pair[2], status = 0;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return tell(errno);
    }
    pid_t child = fork();
    if (child == 0) {
        close(pair[0]);
        int error = sv_go_under(pair[1]);
        _exit(error ? error : openat(AT_FDCWD, QUESTION, O_RDONLY) < 0 && errno == ANSWER ? 0 : ENOSYS);
    }
    close(pair[1]);
    sv_listener = sv_take_descriptor(pair[0]);
    int error = sv_listener < 0 ? 0 : answer_trial();
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return tell(error ? error : WIFEXITED(status) ? WEXITSTATUS(status) : EPERM);
}
