/* The firmware's core as a library in a test's process. */
#ifndef BOARD_H
#define BOARD_H

#define HW_BOARD_NAME "host"
#define HW_FIRMWARE_NAME "hilwire-host"
#define HW_CAPABILITIES                                                                            \
    (HW_CAP_I2C | HW_CAP_SPI | HW_CAP_UART | HW_CAP_GPIO | HW_CAP_SET_BAUD | HW_CAP_RESET)
extern unsigned host_first_baud; /* the rate after a reset */
#define HW_BAUD host_first_baud
#define HW_I2C_BUSES 1
#define HW_UART_PORTS 1

#endif
