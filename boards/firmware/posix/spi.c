/* SPI of this computer through spidev: bus and chip select are the numbers of the node. */
#define _GNU_SOURCE
#include "hal.h"
#include "hilwire.h"
#include "posix.h"

#include <fcntl.h>
#include <linux/spi/spidev.h>
#include <stdio.h>
#include <sys/ioctl.h>

enum { NODES = 16 };

static struct {
    int fd; /* + 1 */
    uint8_t bus, cs;
    uint32_t hz;
} nodes[NODES];

/* The place of a node, opened where it was not; -1: cannot. */
static int node_of(uint8_t bus, uint8_t cs)
{
    char name[16], path[32];
    int i = 0;
    while (i < NODES && nodes[i].fd && (nodes[i].bus != bus || nodes[i].cs != cs))
        i++;
    if (i == NODES || nodes[i].fd)
        return i == NODES ? -1 : i;
    snprintf(name, sizeof name, "spi%u.%u", bus, cs);
    snprintf(path, sizeof path, "/dev/spidev%u.%u", bus, cs);
    nodes[i].fd = posix_open(name, path, O_RDWR) + 1;
    nodes[i].bus = bus;
    nodes[i].cs = cs;
    nodes[i].hz = 1000000;
    return nodes[i].fd ? i : -1;
}

uint32_t hal_spi_config(uint8_t bus, uint8_t cs, uint8_t mode, uint32_t hz)
{
    int i = node_of(bus, cs);
    if (i < 0 || mode > 3 || ioctl(nodes[i].fd - 1, SPI_IOC_WR_MODE, &mode) < 0)
        return 0;
    if (ioctl(nodes[i].fd - 1, SPI_IOC_WR_MAX_SPEED_HZ, &hz) < 0)
        return 0;
    return nodes[i].hz = hz;
}

uint8_t hal_spi_transfer(uint8_t bus, uint8_t cs, uint8_t hold, uint8_t *octets, uint8_t n)
{
    int i = node_of(bus, cs);
    if (i < 0)
        return HW_ABSENT;
    struct spi_ioc_transfer transfer = {
        .tx_buf = (uintptr_t)octets,
        .rx_buf = (uintptr_t)octets,
        .len = n,
        .speed_hz = nodes[i].hz,
        .cs_change = hold, /* of the last transfer: stays selected */
    };
    return ioctl(nodes[i].fd - 1, SPI_IOC_MESSAGE(1), &transfer) < 0 ? HW_TIMEOUT : HW_OK;
}
