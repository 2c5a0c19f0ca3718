/* Front, server and program, and how the end of each is that of the others. */
#include "supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a shell answers for a command that it cannot find, and for one that it cannot run. */
enum { NOT_FOUND = 127, NOT_EXECUTABLE = 126 };
/* In epoll, behind the places of files. */
enum { CHILDREN = 0x10000, FRONT };

static const int FORWARDED[] = {SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGINT, SIGQUIT};

static pid_t start_program(char **words, const sigset_t *mask, int *listener)
{
    int pair[2];
    pid_t server = getpid();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return -1;
    }
    pid_t program = fork();
    if (program == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* without the server every open would fail */
        if (getppid() != server || sv_go_under(pair[1])) {
            _exit(NOT_EXECUTABLE);
        }
        sigprocmask(SIG_SETMASK, mask, NULL);
        execvp(*words, words);
        int error = errno;
        fprintf(stderr, "hil run: %s: %s\n", *words, strerror(error));
        _exit(error == ENOENT ? NOT_FOUND : NOT_EXECUTABLE);
    }
    close(pair[1]);
    *listener = program < 0 ? -1 : sv_take_descriptor(pair[0]);
    close(pair[0]);
    return program;
}

static void add(int epoll, int fd, uint32_t events, uint32_t name)
{
    struct epoll_event event = {.events = events, .data = {.u32 = name}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

/* Tell the front how the program ended, and let go of its streams: programs that it has left behind
 * are served on, and nobody is to wait for us. */
static void report(int front, int status)
{
    int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 3 && nothing >= 0; fd++) {
        dup2(nothing, fd);
    }
    if (send(front, &code, sizeof code, MSG_NOSIGNAL) < 0) {
        return; /* it was killed */
    }
}

/* Collect whoever has ended; false when nobody is left. As subreaper we hear of every descendant. */
static bool collect(pid_t program, int front, bool *over)
{
    for (;;) {
        int status;
        pid_t ended = waitpid(-1, &status, WNOHANG);
        if (ended == program) {
            *over = true;
            report(front, status);
        }
        if (ended <= 0) {
            return ended == 0 || errno != ECHILD;
        }
    }
}

/* Watch over children and files while the threads answer; ends when no descendant is left. */
static void watch_over(int epoll, int children, pid_t program, int front)
{
    bool over = false;
    for (;;) {
        struct epoll_event event;
        struct signalfd_siginfo about;
        if (epoll_wait(epoll, &event, 1, -1) != 1) {
            continue;
        }
        if (event.data.u32 < CHILDREN) {
            sv_gone(event.data.u32, event.events);
        } else if (event.data.u32 == FRONT) {
            epoll_ctl(epoll, EPOLL_CTL_DEL, front, NULL);
            if (!over) {
                kill(program, SIGKILL); /* as who killed the front wanted */
            }
        } else if (read(children, &about, sizeof about) > 0 && !collect(program, front, &over)) {
            return;
        }
    }
}

static int serve(char **words, int front, const sigset_t *mask)
{
    struct rlimit most;
    if (getrlimit(RLIMIT_NOFILE, &most) == 0 && most.rlim_cur < RESERVED_END) {
        most.rlim_cur = most.rlim_max < RESERVED_END ? most.rlim_max : RESERVED_END;
        setrlimit(RLIMIT_NOFILE, &most);
    }
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    int children = signalfd(-1, &child, SFD_CLOEXEC), epoll = epoll_create1(EPOLL_CLOEXEC);
    pid_t program = start_program(words, mask, &sv_listener);
    int number = (int)program;
    if (children < 0 || epoll < 0 || sv_listener < 0 || send(front, &number, sizeof number, 0) < 0) {
        return -1; /* the program dies with us */
    }
    sv_start_files(epoll);
    add(epoll, children, EPOLLIN, CHILDREN);
    add(epoll, front, EPOLLRDHUP, FRONT);
    if (sv_serve() < 0) {
        return -1;
    }
    watch_over(epoll, children, program, front);
    return 0;
}

/* Hand signals on to the program until the server says how it ended. */
static int stand_in_front(int server, int signals)
{
    int program = -1, number;
    struct pollfd both[2] = {{.fd = server, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    for (;;) {
        struct signalfd_siginfo about;
        if (poll(both, 2, -1) < 0) {
            continue;
        }
        if (both[0].revents) {
            if (recv(server, &number, sizeof number, 0) != sizeof number) {
                fprintf(stderr, "%s: ended before the program did\n", hil_name);
                return NOT_EXECUTABLE;
            }
            if (program >= 0) {
                return number;
            }
            program = (int)syscall(SYS_pidfd_open, number, 0);
            both[1].fd = program < 0 ? -1 : signals;
        } else if (program >= 0 && read(signals, &about, sizeof about) == sizeof about &&
                   about.ssi_code != SI_KERNEL) { /* those of the terminal reach it by themselves */
            syscall(SYS_pidfd_send_signal, program, (int)about.ssi_signo, NULL, 0);
        }
    }
}

int sv_front(char **words)
{
    int pair[2];
    sigset_t ours, mask;
    sigemptyset(&ours);
    for (unsigned i = 0; i < sizeof FORWARDED / sizeof *FORWARDED; i++) {
        sigaddset(&ours, FORWARDED[i]);
    }
    sigprocmask(SIG_BLOCK, &ours, &mask);
    signal(SIGCHLD, SIG_DFL);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return NOT_EXECUTABLE;
    }
    pid_t server = fork();
    if (server == 0) {
        close(pair[0]);
        _exit(serve(words, pair[1], &mask) ? 1 : 0);
    }
    close(pair[1]);
    return stand_in_front(pair[0], signalfd(-1, &ours, SFD_CLOEXEC));
}
