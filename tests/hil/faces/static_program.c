/* A program that knows nothing of the bench: I2C, SPI, GPIO, a tty, and what goes wrong on them.
 * Linked statically by the tests; its argument names what it does. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <linux/spi/spidev.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define TMP117 0x48
static void *volatile nowhere = (void *)8;

/* Read a register in one transaction; the value or -errno. */
static int reg(int fd, int address, unsigned char number)
{
    unsigned char in[2];
    struct i2c_msg both[2] = {{address, 0, 1, &number}, {address, I2C_M_RD, 2, in}};
    struct i2c_rdwr_ioctl_data asked = {both, 2};
    return ioctl(fd, I2C_RDWR, &asked) < 0 ? -errno : in[0] << 8 | in[1];
}

static int identity(int fd)
{
    return reg(fd, TMP117, 0x0f);
}

static int device(void)
{
    int fd = open("/dev/i2c-1", O_RDWR);
    if (fd < 0) {
        perror("/dev/i2c-1");
        exit(1);
    }
    return fd;
}

static const char *said(int result)
{
    return result < 0 ? strerrorname_np(errno) : "done";
}

static void i2c(void)
{
    int fd = device();
    unsigned char pointer = 0x0f, in[2];
    union i2c_smbus_data data;
    struct i2c_smbus_ioctl_data word = {I2C_SMBUS_READ, 0x0f, I2C_SMBUS_WORD_DATA, &data};
    unsigned long functions = 0;
    printf("rdwr %04x\n", identity(fd));
    ioctl(fd, I2C_SLAVE, TMP117);
    ssize_t put = write(fd, &pointer, 1), got = read(fd, in, 2);
    printf("plain %zd %zd %02x%02x\n", put, got, in[0], in[1]);
    int result = ioctl(fd, I2C_SMBUS, &word);
    printf("smbus %d %04x\n", result, data.word);
    result = ioctl(fd, I2C_FUNCS, &functions);
    printf("funcs %d %d\n", result, !!(functions & I2C_FUNC_I2C));
    printf("absent %s\n", strerrorname_np(-reg(fd, 0x2f, 0)));
}

static void spi(void)
{
    int fd = open("/dev/spidev0.0", O_RDWR | O_CLOEXEC);
    unsigned char out[4] = {0x9f}, in[4] = {0}, mode = SPI_MODE_3, found = 0;
    struct spi_ioc_transfer one = {.tx_buf = (unsigned long)out, .rx_buf = (unsigned long)in, .len = 4};
    int result = ioctl(fd, SPI_IOC_MESSAGE(1), &one);
    printf("spi %d %02x%02x%02x\n", result, in[1], in[2], in[3]);
    int put = ioctl(fd, SPI_IOC_WR_MODE, &mode);
    int got = ioctl(fd, SPI_IOC_RD_MODE, &found);
    printf("mode %d %d %d\n", put, got, found);
    printf("cloexec %d\n", fcntl(fd, F_GETFD) == FD_CLOEXEC);
}

static int request(int chip, unsigned line, uint64_t flags)
{
    struct gpio_v2_line_request asked = {.offsets = {line}, .num_lines = 1, .consumer = "static"};
    asked.config.flags = flags;
    return ioctl(chip, GPIO_V2_GET_LINE_IOCTL, &asked) < 0 ? -errno : asked.fd;
}

static void gpio(void)
{
    struct gpiochip_info info = {0};
    struct gpio_v2_line_values values = {1, 1};
    int chip = open("/dev/gpiochip0", O_RDWR);
    ioctl(chip, GPIO_GET_CHIPINFO_IOCTL, &info);
    int line = request(chip, 26, GPIO_V2_LINE_FLAG_OUTPUT);
    printf("lines %u\n", info.lines);
    printf("busy %s\n", strerrorname_np(-request(chip, 26, GPIO_V2_LINE_FLAG_OUTPUT)));
    close(chip); /* lines outlive their chip */
    ioctl(line, GPIO_V2_LINE_SET_VALUES_IOCTL, &values);
    values.bits = 0;
    ioctl(line, GPIO_V2_LINE_GET_VALUES_IOCTL, &values);
    printf("level %d\n", (int)values.bits);
    close(line);
    chip = open("/dev/gpiochip0", O_RDWR);
    printf("free %d\n", request(chip, 26, GPIO_V2_LINE_FLAG_OUTPUT) >= 0);
}

/* The pulses per second of the receiver: edges come as the kernel's structs, poll waits for them. */
static void edges(void)
{
    int chip = open("/dev/gpiochip0", O_RDWR);
    int line = request(chip, 18, GPIO_V2_LINE_FLAG_INPUT | GPIO_V2_LINE_FLAG_EDGE_RISING |
                                     GPIO_V2_LINE_FLAG_EDGE_FALLING);
    struct gpio_v2_line_event event;
    for (int i = 0; i < 4; i++) {
        struct pollfd one = {.fd = line, .events = POLLIN};
        int ready = poll(&one, 1, -1);
        ssize_t got = read(line, &event, sizeof event);
        printf("%d %zd %u %u\n", ready, got, event.id, event.seqno);
    }
    printf("short %s\n", said((int)read(line, &event, 8)));
}

static void tty(void)
{
    char line[120] = "";
    int fd = open("/dev/ttyAMA1", O_RDWR | O_NOCTTY);
    FILE *stream = fdopen(fd, "r");
    printf("tty %d\n", isatty(fd));
    while (strncmp(line, "$GN", 3) && fgets(line, sizeof line, stream)) {
    }
    printf("said %.3s\n", line);
}

static void look(void)
{
    struct stat status;
    struct statx extended;
    char name[64] = "", text[64] = "";
    int result = stat("/dev/i2c-1", &status);
    printf("stat %d %d %u:%u\n", result, S_ISCHR(status.st_mode), major(status.st_rdev), minor(status.st_rdev));
    int fd = device();
    result = fstat(fd, &status);
    printf("fstat %d %d %u\n", result, S_ISCHR(status.st_mode), minor(status.st_rdev));
    result = statx(AT_FDCWD, "/dev/spidev0.0", 0, STATX_BASIC_STATS, &extended);
    printf("statx %d %d %u\n", result, S_ISCHR(extended.stx_mode), extended.stx_rdev_major);
    printf("access %d %d\n", access("/dev/i2c-1", R_OK | W_OK), faccessat(AT_FDCWD, "/dev/i2c-9", F_OK, 0));
    printf("link %s\n", said((int)readlink("/dev/i2c-1", name, sizeof name)));
    FILE *file = fopen("/sys/class/i2c-dev/i2c-1/name", "r");
    printf("name %s", file && fgets(text, sizeof text, file) ? text : "none\n");
    printf("folder %s\n", said(open("/dev/i2c-1", O_RDWR | O_DIRECTORY)));
}

/* Pointers that lead nowhere are errors, as of the kernel's own. */
static void wrong(void)
{
    int fd = device(), bus = open("/dev/spidev0.0", O_RDWR);
    unsigned char octet = 0x0f;
    struct i2c_msg into = {TMP117, I2C_M_RD, 2, nowhere}, out = {TMP117, 0, 2, nowhere};
    struct i2c_rdwr_ioctl_data none = {nowhere, 1}, to = {&into, 1}, from = {&out, 1};
    struct i2c_smbus_ioctl_data word = {I2C_SMBUS_READ, 0x0f, I2C_SMBUS_WORD_DATA, nowhere};
    struct spi_ioc_transfer one = {.tx_buf = (unsigned long)nowhere, .len = 4};
    ioctl(fd, I2C_SLAVE, TMP117);
    printf("rdwr %s\n", said(ioctl(fd, I2C_RDWR, nowhere)));
    printf("messages %s\n", said(ioctl(fd, I2C_RDWR, &none)));
    printf("into %s\n", said(ioctl(fd, I2C_RDWR, &to)));
    printf("from %s\n", said(ioctl(fd, I2C_RDWR, &from)));
    printf("smbus %s\n", said(ioctl(fd, I2C_SMBUS, &word)));
    printf("funcs %s\n", said(ioctl(fd, I2C_FUNCS, nowhere)));
    printf("read %s\n", said((int)read(fd, nowhere, 2)));
    printf("write %s\n", said((int)write(fd, nowhere, 2)));
    printf("spi %s\n", said(ioctl(bus, SPI_IOC_MESSAGE(1), &one)));
    printf("mode %s\n", said(ioctl(bus, SPI_IOC_WR_MODE, nowhere)));
    printf("open %s\n", said(open(nowhere, O_RDONLY)));
    printf("stat %s\n", said(stat("/dev/i2c-1", nowhere)));
    /* A path that ends where its page does. */
    char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(page + 4096, 4096);
    char *path = strcpy(page + 4096 - sizeof "/dev/i2c-1", "/dev/i2c-1");
    printf("brink %04x\n", identity(open(path, O_RDWR)));
    printf("after %04x %d\n", identity(fd), (int)write(fd, &octet, 1));
}

static void copies(char **words)
{
    int fd = device();
    int second = dup(fd), third = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    printf("dup %04x %04x %d\n", identity(second), identity(third), second != third && third != fd);
    close(fd);
    printf("closed %s %04x\n", strerrorname_np(-identity(fd)), identity(second));
    printf("low %s\n", said(dup2(second, 5)));
    int high = dup2(second, 1000);
    printf("high %d %04x\n", high, identity(high));
    fflush(stdout);
    if (fork() == 0) {
        printf("child %04x\n", identity(second));
        fflush(stdout);
        char number[12];
        snprintf(number, sizeof number, "%d", second);
        execl(words[0], words[0], "inherited", number, NULL);
    }
    wait(NULL);
    printf("parent %04x\n", identity(second));
}

static void odd(void)
{
    int fd = device();
    char octets[2];
    struct iovec one = {octets, 2};
    for (int i = 0; i < 2; i++) {
        printf("ioctl %s\n", said(ioctl(fd, _IO(7, 0x55), 0)));
        printf("readv %s\n", said((int)readv(fd, &one, 1)));
    }
}

static void *count(void *argument)
{
    int *wrong_ones = argument, fd = device();
    for (int i = 0; i < 300; i++) {
        *wrong_ones += identity(fd) != 0x0117;
    }
    close(fd);
    return NULL;
}

/* Threads side by side, each on a descriptor of its own. */
static void threads(void)
{
    pthread_t all[8];
    int bad[8] = {0}, sum = 0;
    for (int i = 0; i < 8; i++) {
        pthread_create(&all[i], NULL, count, &bad[i]);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(all[i], NULL);
        sum += bad[i];
    }
    printf("threads %d\n", sum);
}

/* Children that are killed in the middle of what they do. */
static void killed(void)
{
    int fd = device(), pipes[2];
    for (int i = 0; i < 40; i++) {
        char octet;
        if (pipe(pipes)) {
            return;
        }
        pid_t child = fork();
        if (child == 0) {
            int own = device();
            for (int n = 0;; n++) {
                identity(n & 1 ? own : fd);
                if (n == i && write(pipes[1], "", 1) != 1) {
                    _exit(1);
                }
            }
        }
        if (read(pipes[0], &octet, 1) == 1) {
            kill(child, SIGKILL);
        }
        waitpid(child, NULL, 0);
        close(pipes[0]);
        close(pipes[1]);
    }
    printf("killed %04x\n", identity(fd));
}

/* Open and close more often than there are places. */
static void often(void)
{
    int bad = 0;
    for (int i = 0; i < 1000; i++) {
        int fd = device(), chip = open("/dev/gpiochip0", O_RDWR);
        int line = request(chip, 26, GPIO_V2_LINE_FLAG_OUTPUT);
        bad += identity(fd) != 0x0117 || line < 0;
        close(fd), close(chip), close(line);
    }
    printf("often %d\n", bad);
}

static void ring(int number)
{
    (void)number;
}

/* Signals all the time, whose calls are not taken up again: how many reads were right, and wrong. */
static void storm(void)
{
    int fd = device(), good = 0, bad = 0;
    struct sigaction act = {.sa_handler = ring};
    struct itimerval often_us = {{0, 300}, {0, 300}};
    sigaction(SIGALRM, &act, NULL);
    setitimer(ITIMER_REAL, &often_us, NULL);
    while (good < 1000) {
        int found = identity(fd);
        good += found == 0x0117;
        bad += found != 0x0117 && found != -EINTR;
    }
    printf("storm %d %d\n", good, bad);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    const struct {
        const char *name;
        void (*act)(void);
    } acts[] = {{"i2c", i2c}, {"spi", spi}, {"gpio", gpio}, {"edges", edges}, {"tty", tty}, {"look", look},
                {"wrong", wrong}, {"odd", odd}, {"threads", threads}, {"killed", killed}, {"often", often},
                {"storm", storm}};
    for (unsigned i = 0; i < sizeof acts / sizeof *acts; i++) {
        if (!strcmp(what, acts[i].name)) {
            acts[i].act();
        }
    }
    if (!strcmp(what, "copies")) {
        copies(argv);
    } else if (!strcmp(what, "inherited")) {
        printf("inherited %04x\n", identity(atoi(argv[2])));
    } else if (!strcmp(what, "exit")) {
        return 7;
    }
    return 0;
}
