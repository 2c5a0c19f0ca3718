/* Any computer with Linux as a board: sizes, and capabilities that depend on how it was started. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

#ifndef HW_MAX_FRAME
#define HW_MAX_FRAME 252
#endif
#if HW_MAX_FRAME < 80
#define POSIX_CAN_FD 0 /* an event with a frame of CAN FD would be too long */
#else
#define POSIX_CAN_FD HW_CAP_CAN_FD
#endif

#define HW_BOARD_NAME "posix"
#define HW_FIRMWARE_NAME "hilwire-posix"
#define HW_CAPABILITIES                                                                            \
    (HW_CAP_I2C | HW_CAP_I2C_TEN | HW_CAP_SPI | HW_CAP_UART | HW_CAP_GPIO | HW_CAP_CAN |           \
     POSIX_CAN_FD | HW_CAP_I2C_TARGET | HW_CAP_SPI_TARGET | HW_CAP_SET_BAUD | HW_CAP_RESET)
#define HW_RX_CREDIT 2048
#define HW_I2C_WHOLE
#define HW_SPI_WHOLE
#define HW_I2C_BUSES 255
#define HW_UART_PORTS 8
#define HW_CAN_BUSES 4
#define HW_TARGET_SLOTS 16
#define HW_TARGET_IMAGE 1024
#define HW_TARGET_RING 128

uint32_t posix_capabilities(void);
uint8_t posix_name(uint8_t i);
uint8_t posix_name_size(void);
#define HW_CAPABILITIES_NOW posix_capabilities()
#define HW_NAME(i) posix_name(i)
#define HW_NAME_SIZE posix_name_size()

#endif
