/* CAN of this computer through SocketCAN: bus n is canN, or the interface that --device names. Bit
 * rates belong to the administrator (ip link set can0 type can bitrate 500000); a bus that is not
 * up is absent; one that goes down or away later is bus-off until it is back. */
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

enum { LISTEN_ONLY = 1, ACTIVE = 0, WARNING, PASSIVE, OFF, LOOK_US = 100000 };

static struct {
    int fd; /* + 1 */
    /* Status while an interface that was open is down or gone, 0: it is there. */
    uint8_t lack;
    uint8_t listens, changed, state[3];
    uint32_t looked_us, dropped;
} buses[HW_CAN_BUSES];

static int open_interface(const char *path)
{
    int one = 1, fd = socket(PF_CAN, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, CAN_RAW);
    can_err_mask_t errors = CAN_ERR_CRTL | CAN_ERR_BUSOFF | CAN_ERR_RESTARTED;
    struct ifreq interface = {0};
    struct sockaddr_can address = {.can_family = AF_CAN};
    if (fd < 0)
        return -1;
    snprintf(interface.ifr_name, sizeof interface.ifr_name, "%s", path);
    setsockopt(fd, SOL_CAN_RAW, CAN_RAW_FD_FRAMES, &one, sizeof one);
    setsockopt(fd, SOL_CAN_RAW, CAN_RAW_ERR_FILTER, &errors, sizeof errors);
    setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &one, sizeof one);
    if (ioctl(fd, SIOCGIFINDEX, &interface) >= 0) {
        address.can_ifindex = interface.ifr_ifindex;
        if (ioctl(fd, SIOCGIFFLAGS, &interface) >= 0 && !(interface.ifr_flags & IFF_UP))
            errno = ENETDOWN;
        else if (bind(fd, (struct sockaddr *)&address, sizeof address) >= 0)
            return fd;
    }
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static void move(uint8_t bus, uint8_t state, uint8_t tec, uint8_t rec)
{
    uint8_t now[3] = {state, tec, rec};
    buses[bus].changed |= memcmp(buses[bus].state, now, sizeof now) != 0;
    memcpy(buses[bus].state, now, sizeof now);
}

static uint8_t attach(uint8_t bus, uint8_t aloud)
{
    char name[16];
    snprintf(name, sizeof name, "can%u", bus);
    const char *path = posix_path(name, name);
    int fd = open_interface(path);
    if (fd < 0) {
        if (buses[bus].lack)
            buses[bus].lack = errno == ENETDOWN ? HW_BUS_OFF : HW_ABSENT;
        return aloud ? posix_failed(name, path) : HW_ABSENT;
    }
    buses[bus].fd = fd + 1;
    buses[bus].dropped = 0;
    buses[bus].lack = HW_OK;
    posix_watch(fd);
    move(bus, ACTIVE, 0, 0);
    return HW_OK;
}

/* The interface was set down or taken away: bus-off until it is back, which is looked for. */
static void lose(uint8_t bus)
{
    posix_unwatch(buses[bus].fd - 1);
    close(buses[bus].fd - 1);
    buses[bus].fd = 0;
    buses[bus].lack = HW_BUS_OFF;
    buses[bus].looked_us = hal_micros();
    move(bus, OFF, 0, 0);
    attach(bus, 0);
}

uint8_t hal_can_config(uint8_t bus, uint32_t bitrate, uint32_t data_bitrate, uint8_t flags)
{
    int error = 0;
    socklen_t size = sizeof error;
    (void)bitrate, (void)data_bitrate;
    if (buses[bus].fd && !getsockopt(buses[bus].fd - 1, SOL_SOCKET, SO_ERROR, &error, &size) && error)
        lose(bus);
    if (!buses[bus].fd) {
        if (attach(bus, 1))
            return HW_ABSENT;
        hw_log("can: bit rates are those of `ip link`");
    }
    buses[bus].listens = flags & LISTEN_ONLY;
    return HW_OK;
}

uint8_t hal_can_send(uint8_t bus, uint32_t id, uint8_t flags, const uint8_t *octets, uint8_t n)
{
    struct canfd_frame frame = {.can_id = id, .len = n, .flags = flags};
    uint8_t fd_frame = flags || n > CAN_MAX_DLEN;
    size_t size = fd_frame ? CANFD_MTU : CAN_MTU;
    if (buses[bus].lack)
        return buses[bus].lack;
    if (!buses[bus].fd || buses[bus].listens || n > CANFD_MAX_DLEN)
        return HW_INVALID;
    /* Error frames are the driver's own; CAN FD has no remote frames (ISO 11898-1). */
    if (id & CAN_ERR_FLAG || (fd_frame && id & CAN_RTR_FLAG))
        return HW_INVALID;
    if (buses[bus].state[0] == OFF) /* a controller that is off drops what it is given, untold */
        return HW_BUS_OFF;
    memcpy(frame.data, octets, n);
    if (write(buses[bus].fd - 1, &frame, size) == (ssize_t)size)
        return HW_OK;
    if (errno == ENOBUFS || errno == EAGAIN)
        return HW_BUSY;
    if (errno != ENETDOWN && errno != ENODEV && errno != ENXIO)
        return HW_INVALID;
    lose(bus);
    return buses[bus].lack ? buses[bus].lack : HW_BUS_OFF;
}

/* An error frame of the driver: what it says of the controller's state (linux/can/error.h). */
static void note_state(uint8_t bus, const struct canfd_frame *frame)
{
    uint8_t state = buses[bus].state[0];
    uint8_t controller = frame->can_id & CAN_ERR_CRTL ? frame->data[1] : 0;
    if (frame->can_id & CAN_ERR_BUSOFF)
        state = OFF;
    else if (controller & (CAN_ERR_CRTL_RX_PASSIVE | CAN_ERR_CRTL_TX_PASSIVE))
        state = PASSIVE;
    else if (controller & (CAN_ERR_CRTL_RX_WARNING | CAN_ERR_CRTL_TX_WARNING))
        state = WARNING;
    else if (frame->can_id & CAN_ERR_RESTARTED || controller & CAN_ERR_CRTL_ACTIVE)
        state = ACTIVE;
    if (controller & CAN_ERR_CRTL_RX_OVERFLOW)
        hw_count(HW_EVENTS_LOST);
    move(bus, state, frame->data[6], frame->data[7]);
}

/* The next frame of the socket, its octets or -1. What the kernel had no room for is counted. */
static ssize_t receive(uint8_t bus, struct canfd_frame *frame)
{
    union {
        struct cmsghdr head;
        char octets[CMSG_SPACE(sizeof(uint32_t))];
    } told;
    struct iovec into = {frame, sizeof *frame};
    struct msghdr message = {
        .msg_iov = &into, .msg_iovlen = 1, .msg_control = &told, .msg_controllen = sizeof told};
    uint32_t dropped;
    ssize_t n = recvmsg(buses[bus].fd - 1, &message, 0);
    if (n < 0)
        return n;
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SO_RXQ_OVFL) {
        memcpy(&dropped, CMSG_DATA(head), sizeof dropped);
        for (; buses[bus].dropped != dropped; buses[bus].dropped++)
            hw_count(HW_EVENTS_LOST);
    }
    return n;
}

int hal_can_take(uint8_t bus, uint32_t *t_us, uint32_t *id, uint8_t *flags, uint8_t *octets)
{
    struct canfd_frame frame;
    if (!buses[bus].fd || !posix_ready(buses[bus].fd - 1))
        return -1;
    ssize_t n = receive(bus, &frame);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        lose(bus);
    if (n < (ssize_t)CAN_MTU)
        return -1;
    if (frame.can_id & CAN_ERR_FLAG) {
        note_state(bus, &frame);
        return -1;
    }
    if (buses[bus].state[0] == OFF) /* who hears frames is on again */
        move(bus, ACTIVE, 0, 0);
    if (n == CANFD_MTU && !(HW_CAPABILITIES & HW_CAP_CAN_FD)) {
        hw_count(HW_EVENTS_LOST);
        return -1;
    }
    *t_us = hal_micros();
    *id = frame.can_id;
    *flags = n == CANFD_MTU ? frame.flags | CANFD_FDF : 0;
    memcpy(octets, frame.data, frame.len);
    return frame.len;
}

uint8_t hal_can_changed(uint8_t bus, uint8_t state_tec_rec[3])
{
    uint8_t changed = buses[bus].changed;
    if (buses[bus].lack && hal_micros() - buses[bus].looked_us >= LOOK_US) {
        buses[bus].looked_us = hal_micros();
        attach(bus, 0);
        changed = buses[bus].changed;
    }
    buses[bus].changed = 0;
    memcpy(state_tec_rec, buses[bus].state, 3);
    return changed;
}
