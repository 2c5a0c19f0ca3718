/* CAN of this computer through SocketCAN: bus n is canN, or the interface that --device names. Bit
 * rates belong to the administrator (ip link set can0 type can bitrate 500000); a bus that is not
 * up is absent. */
#define _GNU_SOURCE
#include "hal.h"
#include "hilwire.h"
#include "posix.h"

#include <errno.h>
#include <linux/can.h>
#include <linux/can/error.h>
#include <linux/can/raw.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef CANFD_FDF
#define CANFD_FDF 0x04 /* of headers before Linux 5.14 */
#endif

enum { LISTEN_ONLY = 1, ACTIVE = 0, WARNING, PASSIVE, OFF };

static struct {
    int fd; /* + 1 */
    uint8_t listens, changed, state[3];
} buses[HW_CAN_BUSES];

static int open_bus(uint8_t bus)
{
    char name[16];
    int one = 1, fd = socket(PF_CAN, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, CAN_RAW);
    can_err_mask_t errors = CAN_ERR_CRTL | CAN_ERR_BUSOFF | CAN_ERR_RESTARTED;
    struct ifreq interface = {0};
    struct sockaddr_can address = {.can_family = AF_CAN};
    snprintf(name, sizeof name, "can%u", bus);
    const char *path = posix_path(name, name);
    if (fd < 0) {
        posix_failed(name, "a socket");
        return -1;
    }
    snprintf(interface.ifr_name, sizeof interface.ifr_name, "%s", path);
    setsockopt(fd, SOL_CAN_RAW, CAN_RAW_FD_FRAMES, &one, sizeof one);
    setsockopt(fd, SOL_CAN_RAW, CAN_RAW_ERR_FILTER, &errors, sizeof errors);
    if (ioctl(fd, SIOCGIFINDEX, &interface) >= 0) {
        address.can_ifindex = interface.ifr_ifindex;
        if (ioctl(fd, SIOCGIFFLAGS, &interface) >= 0 && !(interface.ifr_flags & IFF_UP))
            errno = ENETDOWN;
        else if (bind(fd, (struct sockaddr *)&address, sizeof address) >= 0)
            return fd;
    }
    posix_failed(name, path);
    close(fd);
    return -1;
}

uint8_t hal_can_config(uint8_t bus, uint32_t bitrate, uint32_t data_bitrate, uint8_t flags)
{
    (void)bitrate, (void)data_bitrate;
    if (!buses[bus].fd) {
        buses[bus].fd = open_bus(bus) + 1;
        if (!buses[bus].fd)
            return HW_ABSENT;
        posix_watch(buses[bus].fd - 1);
        hw_log("can: bit rates are those of `ip link`");
    }
    buses[bus].listens = flags & LISTEN_ONLY;
    return HW_OK;
}

uint8_t hal_can_send(uint8_t bus, uint32_t id, uint8_t flags, const uint8_t *octets, uint8_t n)
{
    struct canfd_frame frame = {.can_id = id, .len = n, .flags = flags};
    size_t size = flags || n > CAN_MAX_DLEN ? CANFD_MTU : CAN_MTU;
    if (!buses[bus].fd || buses[bus].listens || n > CANFD_MAX_DLEN)
        return HW_INVALID;
    memcpy(frame.data, octets, n);
    if (write(buses[bus].fd - 1, &frame, size) == (ssize_t)size)
        return HW_OK;
    return errno == ENOBUFS || errno == EAGAIN ? HW_BUSY
           : errno == ENETDOWN                 ? HW_BUS_OFF
                                               : HW_INVALID;
}

/* An error frame of the driver: what it says of the controller's state (linux/can/error.h). */
static void note_state(uint8_t bus, const struct canfd_frame *frame)
{
    uint8_t *state = buses[bus].state;
    if (frame->can_id & CAN_ERR_BUSOFF)
        state[0] = OFF;
    else if (frame->can_id & CAN_ERR_RESTARTED)
        state[0] = ACTIVE;
    else if (frame->data[1] & (CAN_ERR_CRTL_RX_PASSIVE | CAN_ERR_CRTL_TX_PASSIVE))
        state[0] = PASSIVE;
    else if (frame->data[1] & (CAN_ERR_CRTL_RX_WARNING | CAN_ERR_CRTL_TX_WARNING))
        state[0] = WARNING;
    else if (frame->data[1] & CAN_ERR_CRTL_ACTIVE)
        state[0] = ACTIVE;
    if (frame->data[1] & CAN_ERR_CRTL_RX_OVERFLOW)
        hw_count(HW_EVENTS_LOST);
    state[1] = frame->data[6];
    state[2] = frame->data[7];
    buses[bus].changed = 1;
}

int hal_can_take(uint8_t bus, uint32_t *t_us, uint32_t *id, uint8_t *flags, uint8_t *octets)
{
    struct canfd_frame frame;
    for (uint8_t i = 0; i < 8; i++) {
        if (!buses[bus].fd || !posix_ready(buses[bus].fd - 1))
            return -1;
        ssize_t n = read(buses[bus].fd - 1, &frame, sizeof frame);
        if (n < (ssize_t)CAN_MTU)
            return -1;
        if (frame.can_id & CAN_ERR_FLAG) {
            note_state(bus, &frame);
            continue;
        }
        if (n == CANFD_MTU && !(HW_CAPABILITIES & HW_CAP_CAN_FD)) {
            hw_count(HW_EVENTS_LOST);
            continue;
        }
        *t_us = hal_micros();
        *id = frame.can_id;
        *flags = n == CANFD_MTU ? frame.flags | CANFD_FDF : 0;
        memcpy(octets, frame.data, frame.len);
        return frame.len;
    }
    return -1;
}

uint8_t hal_can_changed(uint8_t bus, uint8_t state_tec_rec[3])
{
    uint8_t changed = buses[bus].changed;
    buses[bus].changed = 0;
    memcpy(state_tec_rec, buses[bus].state, 3);
    return changed;
}
