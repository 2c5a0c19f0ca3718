/* ARM MPS2 with the FPGA image AN385 (Cortex-M3), as QEMU's mps2-an385. ARM DAI 0385, DDI 0479. */
#define HW_BOARD_NAME "mps2-an385"
#define HW_FIRMWARE_NAME "hilwire-" HW_BOARD_NAME
#define HW_CAPABILITIES (HW_CAP_I2C | HW_CAP_I2C_TEN | HW_CAP_RESET)
#define HW_I2C_BUSES 1
#define HW_CPU_HZ 25000000u
#define HW_LINK_IRQ 0
#define HW_DESCRIPTION \
    "ARM MPS2 AN385\nlink UART0\ni2c0 shield 1, by software; clock FPGAIO counter\n"
