/* Luminary Micro LM3S6965 evaluation board (Cortex-M3), also QEMU's lm3s6965evb. Data sheet LM3S6965 of 2014. */
#define HW_BOARD_NAME "lm3s6965evb"
#define HW_FIRMWARE_NAME "hilwire-" HW_BOARD_NAME
#define HW_CAPABILITIES (HW_CAP_I2C | HW_CAP_RESET)
#define HW_I2C_BUSES 1
#define HW_CPU_HZ 50000000u
#define HW_LINK_IRQ 5
#define HW_PL011 0x4000C000
#define HW_PL011_HZ HW_CPU_HZ
#define HW_DESCRIPTION \
    "LM3S6965 evaluation board\nlink UART0\n" \
    "i2c0 scl PB2 sda PB3: no empty write; a repeated START is a STOP and a START\n"
