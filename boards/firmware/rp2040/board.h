/* Raspberry Pi Pico (RP2040, two Cortex-M0+ of which one sleeps). RP2040 and Pico data sheets. */
#define HW_BOARD_NAME "pico"
#define HW_FIRMWARE_NAME "hilwire-" HW_BOARD_NAME
#define HW_CAPABILITIES                                                                    \
    (HW_CAP_I2C | HW_CAP_I2C_TEN | HW_CAP_SPI | HW_CAP_GPIO | HW_CAP_SET_BAUD | HW_CAP_RESET | \
     HW_CAP_BOOT_LOADER)
#define HW_I2C_BUSES 1
#define HW_SPI_BUSES 1
#define HW_CPU_HZ 12000000u /* the crystal, for everything */
#define HW_I2C_HALF_CYCLES 50
#define HW_LINK_IRQ 20
#define HW_WAKE_IRQ 13 /* IO_IRQ_BANK0 */
#define HW_WAKE_HANDLER pins_irq
void pins_irq(void);
#define HW_PL011 0x40034000
#define HW_PL011_HZ HW_CPU_HZ
#define HW_DESCRIPTION                                \
    "Raspberry Pi Pico\nlink UART0 tx GP0 rx GP1\n"  \
    "i2c0 scl GP5 sda GP4, by software\n"            \
    "spi0 sck GP18 miso GP16 mosi GP19 cs0 GP17\n"   \
    "gpio GP2 GP3 GP6-GP15 GP20-GP22 GP25-GP28\n"
