/* Nucleo-64 with an STM32F401, F411 or F446 (Cortex-M4). ST RM0368, RM0383, RM0390; UM1724. */
#define HW_BOARD_NAME "nucleo_f4"
#define HW_FIRMWARE_NAME "hilwire-" HW_BOARD_NAME
#define HW_CAPABILITIES (HW_CAP_I2C | HW_CAP_I2C_TEN | HW_CAP_SPI | HW_CAP_SET_BAUD | HW_CAP_RESET)
#define HW_I2C_BUSES 1
#define HW_SPI_BUSES 1
#define HW_CPU_HZ 16000000u /* the internal RC oscillator, within 1 % */
#define HW_LINK_IRQ 38
#define HW_DESCRIPTION                                       \
    "Nucleo-64 STM32F4\nlink USART2 of the ST-Link\n"       \
    "i2c0 scl PB8 (D15) sda PB9 (D14), by software\n"        \
    "spi0 sck PA5 (D13) miso PA6 (D12) mosi PA7 (D11) cs0 PB6 (D10)\n"
