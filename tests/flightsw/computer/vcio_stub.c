/* The firmware of a Raspberry Pi behind ioctl(2): answers the property message as the mailbox
 * interface has it, and says how it does not like one that is not well made. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

int ioctl(int fd, unsigned long request, ...) {
    va_list more;
    va_start(more, request);
    uint32_t *message = va_arg(more, uint32_t *);
    va_end(more);
    if (request != (3ul << 30 | sizeof(void *) << 16 | 100 << 8))
        return ((int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl"))(fd, request, message);
    const uint32_t wanted[7] = {28, 0, 0x00030046, 4, 0, 0, 0};
    if (memcmp(message, wanted, sizeof wanted)) {
        message[1] = 0x80000001;
        return 0;
    }
    message[1] = 0x80000000;
    message[4] = 0x80000004;
    message[5] = 0x50005;
    return 0;
}
