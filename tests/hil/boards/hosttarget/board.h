/* The core's front end as a library in a test's process. */
#ifndef BOARD_H
#define BOARD_H

#define HW_BOARD_NAME "target"
#define HW_FIRMWARE_NAME "hilwire-target"
#define HW_CAPABILITIES HW_CAP_I2C_TARGET
#define HW_TARGET_RING 64

#endif
