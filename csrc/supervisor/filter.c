/* The seccomp filter, made from the table of system calls. */
#include "supervisor.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __x86_64__
#define MACHINE AUDIT_ARCH_X86_64
#else
#define MACHINE AUDIT_ARCH_AARCH64
#endif

/* Linux 5.19: once we work on a call no signal but a deadly one ends it, so that no transaction is
 * made twice. */
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (offset))
#define LOAD_ARGUMENT(n) LOAD(offsetof(struct seccomp_data, args) + 8 * (n)) /* its lower half */
#define IF(test, value, then, otherwise) BPF_JUMP(BPF_JMP | BPF_##test | BPF_K, (value), (then), (otherwise))
#define ASK BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF)
#define PASS BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* Each ends in a verdict. A jump counts the instructions to pass over. */
static const struct sock_filter ALWAYS[] = {ASK};
static const struct sock_filter ON_RESERVED[] = {
    LOAD_ARGUMENT(0), IF(JGE, RESERVED, 0, 2), IF(JGE, RESERVED_END, 1, 0), ASK, PASS};
static const struct sock_filter ONTO[] = {LOAD_ARGUMENT(0), IF(JGE, RESERVED, 0, 1),
                                          IF(JGE, RESERVED_END, 0, 3), LOAD_ARGUMENT(1),
                                          IF(JGE, RESERVED, 0, 2), IF(JGE, RESERVED_END, 1, 0), ASK, PASS};
/* AT_FDCWD is beyond every descriptor: a path with AT_EMPTY_PATH is asked about. */
#define EMPTY(n) \
    {LOAD_ARGUMENT(n), IF(JSET, AT_EMPTY_PATH, 0, 2), LOAD_ARGUMENT(0), IF(JGE, RESERVED, 0, 1), ASK, PASS}
static const struct sock_filter EMPTY_2[] = EMPTY(2);
static const struct sock_filter EMPTY_3[] = EMPTY(3);
static const struct sock_filter DUPLICATE[] = {LOAD_ARGUMENT(1), IF(JEQ, F_DUPFD, 1, 0),
                                               IF(JEQ, F_DUPFD_CLOEXEC, 0, 4), LOAD_ARGUMENT(0),
                                               IF(JGE, RESERVED, 0, 2), IF(JGE, RESERVED_END, 1, 0), ASK, PASS};
static const struct sock_filter DEVICE[] = {LOAD_ARGUMENT(1),
                                            BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff00),
                                            IF(JEQ, 0x0700, 5, 0), /* i2c-dev */
                                            IF(JEQ, 0x6b00, 4, 0), /* spidev: 'k' */
                                            IF(JEQ, 0xb400, 3, 0), /* gpiochip */
                                            LOAD_ARGUMENT(0),
                                            IF(JGE, RESERVED, 0, 2),
                                            IF(JGE, RESERVED_END, 1, 0),
                                            ASK,
                                            PASS};

static const struct {
    const struct sock_filter *steps;
    size_t count;
} RULES[] = {
#define RULE(name) {name, sizeof name / sizeof *name}
    [WHEN_ALWAYS] = RULE(ALWAYS),       [WHEN_RESERVED] = RULE(ON_RESERVED),
    [WHEN_EMPTY_2] = RULE(EMPTY_2),     [WHEN_EMPTY_3] = RULE(EMPTY_3),
    [WHEN_DUPLICATE] = RULE(DUPLICATE), [WHEN_DEVICE] = RULE(DEVICE),
    [WHEN_ONTO] = RULE(ONTO),
};

int sv_install(void)
{
    static struct sock_filter steps[512];
    unsigned count = 0;
    const struct sock_filter head[] = {LOAD(offsetof(struct seccomp_data, arch)), IF(JEQ, MACHINE, 1, 0), PASS,
                                       LOAD(offsetof(struct seccomp_data, nr))};
    memcpy(steps, head, sizeof head);
    count = sizeof head / sizeof *head;
    for (unsigned i = 0; i < sv_nrows; i++) {
        size_t more = RULES[sv_rows[i].when].count;
        struct sock_filter test = IF(JEQ, (uint32_t)sv_rows[i].number, 0, (uint8_t)more);
        steps[count++] = test;
        memcpy(&steps[count], RULES[sv_rows[i].when].steps, more * sizeof *steps);
        count += (unsigned)more;
    }
    steps[count++] = (struct sock_filter)PASS;
    struct sock_fprog program = {.len = (unsigned short)count, .filter = steps};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        return -errno;
    }
    unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
    unsigned long better = flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    long listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, better, &program);
    if (listener < 0 && errno == EINVAL) {
        listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    }
    return listener < 0 ? -errno : (int)listener;
}
