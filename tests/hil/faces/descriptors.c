/* What programs do with the descriptor of a device besides ioctl, read and write. Prints a line for
 * each: a name, and 1 where a device or file behaved as the kernel's. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/i2c-dev.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEVICE "/dev/i2c-1"
#define ADDRESS 0x50
#define FILE_WITH "descriptors\n"

static const char *file;
static const unsigned char head[] = {0x10, 0xab, 0xcd};

static int device(void)
{
    int fd = open(DEVICE, O_RDWR);
    return fd >= 0 && ioctl(fd, I2C_SLAVE, ADDRESS) == 0 && write(fd, head, 3) == 3 ? fd : -1;
}

/* The device answers with what lies at 0x10. */
static int answers(int fd)
{
    unsigned char found[2] = {0};
    return write(fd, head, 1) == 1 && read(fd, found, 2) == 2 && !memcmp(found, head + 1, 2);
}

/* A file that is opened now gets this number and is a file. */
static int is_free(int fd)
{
    char text[sizeof FILE_WITH] = "";
    int fresh = open(file, O_RDONLY);
    int good = fresh == fd && read(fresh, text, sizeof text) == (int)strlen(FILE_WITH) &&
               !strcmp(text, FILE_WITH) && ioctl(fresh, I2C_SLAVE, ADDRESS) < 0 && errno == ENOTTY;
    close(fresh);
    return good;
}

static int vforked(void)
{
    int fd = device(), other = open(file, O_RDONLY);
    pid_t child = vfork();
    if (child == 0) {
        dup2(fd, other);
        close(fd);
        close_range(3, ~0u, 0);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    char text[1];
    int good = answers(fd) && read(other, text, 1) == 1 && *text == *FILE_WITH;
    close(fd);
    close(other);
    return good;
}

static int range_closed(void)
{
    int fd = device();
    int good = close_range((unsigned)fd, ~0u, 0) == 0 && is_free(fd);
    fd = device();
    closefrom(fd);
    return good && is_free(fd);
}

static int range_marked(void)
{
    int fd = device();
    int good = close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) == 0 && answers(fd) &&
               fcntl(fd, F_GETFD) & FD_CLOEXEC;
    close(fd);
    return good;
}

static int streams(FILE *stream, int fd)
{
    unsigned char found[2] = {0};
    if (!stream || fileno(stream) != fd) {
        return 0;
    }
    setvbuf(stream, NULL, _IONBF, 0);
    int good = fwrite(head, 1, 1, stream) == 1 && fflush(stream) == 0 &&
               fread(found, 1, 2, stream) == 2 && !memcmp(found, head + 1, 2);
    return good && fclose(stream) == 0 && is_free(fd);
}

static int opened_as_stream(void)
{
    FILE *stream = fopen(DEVICE, "r+");
    return stream && ioctl(fileno(stream), I2C_SLAVE, ADDRESS) == 0 && streams(stream, fileno(stream));
}

static int vectors(void)
{
    unsigned char found[2] = {0};
    int fd = device();
    struct iovec out[] = {{(void *)head, 0}, {(void *)head, 1}}, in[] = {{found, 2}, {NULL, 0}};
    int good = writev(fd, out, 2) == 1 && readv(fd, in, 2) == 2 && !memcmp(found, head + 1, 2);
    volatile int none = -1;
    int wrong = readv(fd, in, none) == -1 && errno == EINVAL;
    close(fd);
    return good && wrong;
}

static void *asks_for_streams(void *nothing)
{
    while (fileno(stdout) >= 0) {
    }
    return nothing;
}

static void *asks_for_folders(void *nothing)
{
    DIR *folder = opendir("/sys");
    while (folder) {
        readdir(folder);
    }
    return nothing;
}

/* A child goes on whatever other threads of its parent were about when it was forked. */
static int forked(void)
{
    DIR *folder = opendir("/");
    pthread_t thread;
    int good = folder && pthread_create(&thread, NULL, asks_for_streams, NULL) == 0 &&
               pthread_create(&thread, NULL, asks_for_folders, NULL) == 0;
    while (good && readdir(folder)) {
    }
    for (int i = 0; good && i < 300; i++) {
        int status = 1;
        pid_t child = fork();
        if (child == 0) {
            alarm(20); /* for one that would wait for ever */
            readdir(folder);
            _exit(fileno(stdout) < 0);
        }
        good = waitpid(child, &status, 0) == child && status == 0;
    }
    return good;
}

int main(int count, char **words)
{
    file = words[count - 1];
    int fd = device();
    printf("vfork %d\n", vforked());
    printf("close_range %d\n", range_marked() && answers(fd));
    printf("fdopen %d\n", streams(fdopen(fd, "r+"), fd));
    printf("closefrom %d\n", range_closed());
    printf("fopen %d\n", opened_as_stream());
    printf("vectors %d\n", vectors());
    printf("fork %d\n", forked());
    return 0;
}
