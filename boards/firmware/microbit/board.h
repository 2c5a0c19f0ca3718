/* BBC micro:bit V1 (nRF51822, Cortex-M0), also QEMU's microbit. nRF51 Series Reference Manual 3.0. */
#define HW_BOARD_NAME "microbit"
#define HW_FIRMWARE_NAME "hilwire-" HW_BOARD_NAME
#define HW_CAPABILITIES (HW_CAP_I2C | HW_CAP_I2C_TEN | HW_CAP_RESET)
#define HW_I2C_BUSES 1
#define HW_CPU_HZ 16000000u
#define HW_I2C_HALF_CYCLES 55
#define HW_LINK_IRQ 2
#define HW_WAKE_IRQ 9 /* TIMER1: an nRF51 has no SysTick */
#define HW_WAKE_HANDLER timer_irq
void timer_irq(void);
#define HW_DESCRIPTION \
    "BBC micro:bit V1\nlink UART of the interface chip\ni2c0 scl P0.00 (pin 19) sda P0.30 (pin 20)\n"
