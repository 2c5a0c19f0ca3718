/* The supervisor: device files of the bench for any program, static ones too.
 *
 * A program runs under a seccomp filter that asks this process about the few system calls which may
 * concern the bench: those that take a path, and those on a descriptor from RESERVED on, where the
 * bench's devices lie. Everything else runs at full speed. The filter is inherited by threads, forks
 * and whatever they execute; no privilege is needed (PR_SET_NO_NEW_PRIVS). What a device does is the
 * code of the preload shim; memory.c takes the place of the shared memory that the shim has.
 *
 * Three processes: the *front*, whose exit code and signals are those of the program; the *server*,
 * its child, which answers; the program, a child of the server, because Yama lets a process look
 * into its descendants only. See seccomp_unotify(2).
 */
#ifndef FLATSAT_SUPERVISOR_H
#define FLATSAT_SUPERVISOR_H

#include "../shim/shim.h"

#include <linux/seccomp.h>

/* Devices lie here in every program: high enough for the filter to tell them from the program's own
 * descriptors, low enough for select(2). */
enum { RESERVED = 900, RESERVED_END = 1024 };
/* The least size of a page. */
enum { SV_PAGE = 4096 };

/* Answers that are neither a result nor a negative errno. */
enum {
    GO_ON = 1 << 30, /* the kernel does the call after all */
    ANSWERED         /* the descriptor handed over was the answer */
};

/* --- table.c: which system calls are looked at ------------------------------------------------- */

typedef enum {
    WHEN_ALWAYS,
    WHEN_RESERVED,  /* its first argument is a descriptor from RESERVED on */
    WHEN_EMPTY_2,   /* a path, or with AT_EMPTY_PATH in argument 2 such a descriptor */
    WHEN_EMPTY_3,   /* the same with argument 3 */
    WHEN_ONTO,      /* its first or second argument is one */
    WHEN_DUPLICATE, /* fcntl with F_DUPFD on such a descriptor */
    WHEN_DEVICE     /* ioctl of i2c-dev, spidev or gpiochip, or on such a descriptor */
} sv_when;

typedef struct {
    int number;
    sv_when when;
    const char *name;
    int64_t (*answer)(const uint64_t *args);
} sv_row;
extern const sv_row sv_rows[];
extern const unsigned sv_nrows;

/* One notification, which the thread works on that has taken it. */
typedef struct {
    uint64_t id;
    pid_t thread;      /* of the program, in our process namespace */
    const sv_row *row; /* of the call */
} sv_call;
extern _Thread_local sv_call sv_now;
extern int sv_listener;

/* --- filter.c ---------------------------------------------------------------------------------- */

/* Put this process under the filter; returns the listener or a negative errno. */
int sv_install(void);

/* --- start.c, processes.c ---------------------------------------------------------------------- */

/* Put this process under the filter and send the listener over a socket, which is closed; an errno
 * where that cannot be. */
int sv_go_under(int server);
int sv_take_descriptor(int from);
/* Tell on stdout why nothing can be supervised here, if so; an exit code. */
int sv_try(void);
/* Run a program; its exit code. */
int sv_front(char **words);

/* --- serve.c ----------------------------------------------------------------------------------- */

/* Start to answer, on as many threads as there are calls under way. Returns a negative errno. */
int sv_serve(void);
/* Answer one notification; false where there is none any more. */
bool sv_answer_one(void);
/* Hand `fd` to the program as the lowest free number, which is the answer to its call. */
int64_t sv_hand_over(int fd, bool close_on_exec);
/* Put `fd` at the number `place` of the program; a negative errno where it cannot be. */
int sv_put(int fd, int place, bool close_on_exec);

/* --- memory.c ---------------------------------------------------------------------------------- */

extern const hil_memory sv_memory;
/* Copy the path at `address`; a negative errno where it cannot be read or is too long. */
int sv_path(uint64_t address, char path[HIL_PATH]);
/* The same, made absolute where it is relative to a folder of the program. */
int sv_path_at(int directory, uint64_t address, char path[HIL_PATH]);

/* --- files.c: the devices that programs have open ---------------------------------------------- */

/* The device behind descriptors of programs. */
typedef struct {
    uint64_t socket; /* number of the program's end; 0: this place is free */
    int connection;  /* its handle's descriptor here */
    int watch;       /* what hangs up with the program's end */
    bool gone;
    unsigned users; /* calls under way */
} sv_file;
/* Find the file behind a descriptor of the program and hold it until it is let go. */
sv_file *sv_hold(int fd);
void sv_let_go(sv_file *file);
/* Put `fd` at a free number of the program from `least` on. */
int sv_install_at(int fd, int least, bool close_on_exec);

/* Watch over them with this epoll instance, whose events name the place of a file. */
void sv_start_files(int epoll);
/* Hand requested lines over: the supervisor's hil_give. */
extern int (*const sv_give)(hil_handle *handle, int fd);
/* Open a device of the bench for the program: its number there or a negative errno. */
int sv_open(const char *path, bool close_on_exec);
/* Look after the devices whose last descriptor has been closed, as told by `events` of epoll. */
void sv_gone(uint32_t place, uint32_t events);
/* The name of what is behind a descriptor of the program, as in /proc: octets of `name`, or a negative errno. */
int sv_name_of(int fd, char *name, size_t room);
/* A copy of a descriptor of the program, sharing its place in the file; or a negative errno. */
int sv_copy(int fd);
int64_t sv_ioctl(const uint64_t *args);
int64_t sv_read(const uint64_t *args);
int64_t sv_write(const uint64_t *args);
int64_t sv_refuse(const uint64_t *args);
int64_t sv_dup(const uint64_t *args);
int64_t sv_dup_to(const uint64_t *args);
int64_t sv_fcntl(const uint64_t *args);
/* What a descriptor is may change with this call, which the kernel does. */
int64_t sv_changes(const uint64_t *args);
/* The path of the device behind a descriptor; false where there is none. */
bool sv_device_path(int fd, char path[HIL_PATH]);

/* --- paths.c, folders.c ------------------------------------------------------------------------ */

int64_t sv_openat(const uint64_t *args);
int64_t sv_openat2(const uint64_t *args);
int64_t sv_newfstatat(const uint64_t *args);
int64_t sv_fstat(const uint64_t *args);
int64_t sv_statx(const uint64_t *args);
int64_t sv_faccessat(const uint64_t *args);
int64_t sv_faccessat2(const uint64_t *args);
int64_t sv_readlinkat(const uint64_t *args);
int64_t sv_getdents64(const uint64_t *args);
/* Calls of x86-64 that ARM has never had. */
int64_t sv_open_1(const uint64_t *args);
int64_t sv_creat(const uint64_t *args);
int64_t sv_stat(const uint64_t *args);
int64_t sv_lstat(const uint64_t *args);
int64_t sv_access(const uint64_t *args);
int64_t sv_readlink(const uint64_t *args);

#endif
