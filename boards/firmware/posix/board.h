/* Any computer with Linux as a board: sizes, and capabilities that depend on how it was started. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

#define HW_BOARD_NAME "posix"
#define HW_FIRMWARE_NAME "hilwire-posix"
#define HW_CAPABILITIES (HW_CAP_SET_BAUD | HW_CAP_RESET)
#ifndef HW_MAX_FRAME
#define HW_MAX_FRAME 252
#endif
#define HW_RX_CREDIT 2048

uint32_t posix_capabilities(void);
uint8_t posix_name(uint8_t i);
uint8_t posix_name_size(void);
#define HW_CAPABILITIES_NOW posix_capabilities()
#define HW_NAME(i) posix_name(i)
#define HW_NAME_SIZE posix_name_size()

#endif
