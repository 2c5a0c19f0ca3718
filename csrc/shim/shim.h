/* The preload shim: device files of the payload computer that lead to an emulated bench.
 *
 * Needs libc and nothing else, starts no thread, allocates nothing between open and close. Where
 * HIL_BENCH names the bench's socket, the folder `root` beside that socket holds what the program
 * is to find: a plain file below root/dev is a device of the bench, everything else is shown as it
 * lies there. The descriptor of a device is the connection to the bench itself, so that poll,
 * select, epoll and close need no help. docs/bench-socket.md has the messages.
 */
#ifndef FLATSAT_SHIM_H
#define FLATSAT_SHIM_H

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include "../record/wire.h"

#define HIL_EXPORT __attribute__((visibility("default")))
#define HIL_PATH 512
#define HIL_DESCRIPTORS 4096 /* those below this can be devices */
#define HIL_NAME 192  /* of what can be open: a device, an attribute */
#define HIL_PAGE 4096 /* size of an attribute, as stat tells it, and the most octets of its text */

/* The next definition of a libc function: ours stands in front of it. */
#define HIL_REAL(name, type) HIL_REAL_AS(name, real, type)
#define HIL_REAL_AS(name, variable, type)                        \
    static __typeof__(type) variable;                            \
    if (!variable) {                                             \
        *(void **)(&variable) = dlsym(RTLD_NEXT, #name);         \
    }

enum { KIND_REFUSE = 0x07, KIND_OPEN, KIND_ATTRIBUTE, KIND_I2C = 0x10, KIND_SPI, KIND_GPIO = 0x14 };
enum { FLAG_REPLY = 1 };

typedef enum { DEVICE_NONE, DEVICE_I2C, DEVICE_SPI, DEVICE_CHIP, DEVICE_LINE, DEVICE_ATTRIBUTE } hil_device;

/* One open device: what the kernel keeps per open file, shared by every duplicate. */
typedef struct {
    pthread_mutex_t lock; /* one request at a time */
    int descriptors;      /* 0: this place is free */
    bool stale;           /* inherited by fork: a connection of its own is due */
    hil_device device;
    uint8_t channel;
    uint32_t chip_select;
    int16_t error[16]; /* errno of each status of the wire record */
    char path[HIL_NAME];
    uint8_t *message; /* header and payload of one request, then of its reply */
    struct {
        uint16_t address;
        bool ten_bit, pec;
        uint32_t functions;
        uint8_t held[16]; /* addresses that a driver of the kernel has, a bit each */
    } i2c;
    struct {
        uint32_t mode, speed_hz, limit;
        uint8_t bits;
    } spi;
    struct {
        int control; /* connection to the bench where the descriptor is none: a memfd with the text */
        bool fresh;  /* the text was taken at open and nobody has read it yet */
        bool writable;
    } live;
    struct {
        uint32_t line;     /* the bench's number of the lines requested, or of a chip that is watched */
        int control;       /* connection for what is asked about them */
        uint16_t readable; /* octets of one event, 0: there are none */
    } gpio;
} hil_handle;

/* Octets of one message: 42 I2C messages of 8192 octets with their heads. */
#define HIL_MESSAGE (360 * 1024)

/* --- bench.c ----------------------------------------------------------------------------------- */

const char *hil_root(void); /* folder of the overlay, NULL without a bench */
hil_handle *hil_of(int fd); /* NULL: not a descriptor of ours */
int hil_dial(void);         /* a new connection, or a negative errno */
int hil_connect(const char *path, hil_device device);
/* Tell whether this is the child of a vfork, whose descriptors are its own and whose memory is not:
 * it notes nothing. */
bool hil_borrowed(void);
void hil_share(int from, int to);
void hil_forget(int fd);
void hil_close(int fd);

/* Where the payload of the next request goes; the handle is ours until hil_end. */
uint8_t *hil_begin(hil_handle *handle);
/* Send `nbytes` of payload on `fd` and wait for the reply, whose payload then lies at
 * hil_begin()'s place. Returns its length, or a negative errno. */
int hil_call(hil_handle *handle, int fd, uint8_t kind, uint32_t address, size_t nbytes);
void hil_end(hil_handle *handle);
/* Take what the bench says of a device out of the payload of an OPEN reply. */
void hil_learn(hil_handle *handle, int length);
void hil_tell(const char *what, unsigned long number, hil_handle *handle);

/* --- the program's memory --------------------------------------------------------------------- */

/* What a program hands over lies in its own memory. The shim shares it; the supervisor of static
 * binaries reaches over. Both return 0 or -EFAULT; `there` is the program's address. */
typedef struct {
    int (*fetch)(void *here, const void *there, size_t nbytes);
    int (*store)(void *there, const void *here, size_t nbytes);
} hil_memory;
extern const hil_memory hil_own;     /* of this process: memory.c */
extern const hil_memory *hil_theirs; /* of the program */
/* Hand the descriptor of freshly requested lines to the program: the number that it has there, or a
 * negative errno and the lines are given back. The shim's is the program's own. */
extern int (*hil_give)(hil_handle *handle, int fd);
extern const char *hil_name; /* who tells what is not modelled */

/* --- devices.c: what a call on a device does, whose result is a negative errno where it fails --- */

int hil_ioctl(hil_handle *handle, int fd, uint32_t request, void *argument);
ssize_t hil_read(hil_handle *handle, int fd, void *octets, size_t nbytes);
ssize_t hil_write(hil_handle *handle, int fd, const void *octets, size_t nbytes);

/* --- find.c ------------------------------------------------------------------------------------ */

typedef enum { PATH_FOREIGN, PATH_FILE, PATH_DEVICE, PATH_LIVE } hil_place;
/* Tell what the absolute `path` is; fills in `shown`, where it really lies. */
hil_place hil_find(const char *path, char shown[HIL_PATH]);
bool hil_is_shown(const char *path);
unsigned hil_mode_of(const char *shown); /* st_mode with the overlay's marks, 0 if there is no file */
hil_device hil_device_of(const char *path);
uint64_t hil_number_of(const char *path);
/* Nobody is to see that a device is a file in the overlay, or that a tty is a link to a pty; nor the
 * marks of the overlay. */
#define HIL_DRESS(status, path)                                         \
    do {                                                            \
        if (hil_device_of(path)) {                                  \
            (status)->st_mode = S_IFCHR | 0660;                     \
            (status)->st_rdev = hil_number_of(path);                \
            (status)->st_size = 0;                                  \
        } else {                                                    \
            (status)->st_mode &= ~(mode_t)S_ISVTX;                  \
            if (S_ISREG((status)->st_mode) && !strncmp(path, "/sys/", 5)) { \
                (status)->st_size = HIL_PAGE;                       \
                (status)->st_blocks = HIL_PAGE / 512; /* or cp looks for holes */ \
            }                                                       \
        }                                                           \
    } while (0)
struct statx;
void hil_dress(struct statx *status, const char *path);
/* Take the bench's own folder off the head of a name. */
void hil_strip(char *name);
/* Return `path` made absolute in `made` if it leads below a folder that may be shown, else itself. */
const char *hil_absolute(int directory, const char *path, char made[HIL_PATH]);
bool hil_folder_of(int fd, char name[HIL_PATH]);
ssize_t hil_here(char *name, size_t room); /* as getcwd(2) */
void hil_moved(void);                      /* the working folder is another one */

/* --- one file a device kind -------------------------------------------------------------------- */

struct i2c_msg;
/* Run messages, whose octets lie in `memory`, as one transaction: `count` or a negative errno. */
int hil_i2c_transfer(hil_handle *handle, int fd, struct i2c_msg *messages, unsigned count,
                     const hil_memory *memory);
int hil_i2c_smbus(hil_handle *handle, int fd, const void *argument);
int hil_i2c_ioctl(hil_handle *handle, int fd, uint32_t request, void *argument);
ssize_t hil_i2c_read(hil_handle *handle, int fd, void *octets, size_t nbytes);
ssize_t hil_i2c_write(hil_handle *handle, int fd, const void *octets, size_t nbytes);

int hil_spi_ioctl(hil_handle *handle, int fd, uint32_t request, void *argument);
ssize_t hil_spi_read(hil_handle *handle, int fd, void *octets, size_t nbytes);
ssize_t hil_spi_write(hil_handle *handle, int fd, const void *octets, size_t nbytes);

int hil_gpio_ioctl(hil_handle *handle, int fd, uint32_t request, void *argument);
/* Ask for the values of none of these lines: from then on the bench ends their control connection
 * when they are given back. */
int hil_gpio_attach(hil_handle *lines);
bool hil_gpio_readable(const hil_handle *handle, size_t nbytes);

/* A stream on a device or an attribute, NULL with errno; where it is closed so is `fd`. */
FILE *hil_stream(int fd, const char *mode);
FILE *hil_fopen(const char *path, const char *mode);
int hil_live_open(const char *path, const char *shown, int flags);
ssize_t hil_live_read(hil_handle *handle, int fd, void *octets, size_t nbytes, off_t at);
ssize_t hil_live_write(hil_handle *handle, int fd, const void *octets, size_t nbytes);
#define HIL_HERE ((off_t)-1) /* for hil_live_read: at the place of the descriptor */

/* --- clock.c: virtual time; without it all of this does nothing --------------------------------- */

enum { MARK_NONE, MARK_BENCH, MARK_HIDDEN }; /* the bench is at its other end; nobody is to close it */

bool hil_virtual(void);
uint64_t hil_clock_now(void);   /* virtual time of this thread */
uint32_t hil_clock_ident(void); /* what the bench calls this thread; 0: virtual time is off */
uint8_t hil_clock_marked(int fd);
int hil_clock_mark(int fd, uint8_t as);  /* returns fd */
void hil_clock_await_input(int fd);      /* where only the bench can bring it */

/* Set errno from a negative result; -1 then, the result itself otherwise. */
static inline int hil_result(int result)
{
    if (result < 0) {
        errno = -result;
        return -1;
    }
    return result;
}

#endif
