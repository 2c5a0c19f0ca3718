/* Arduino Uno: ATmega328P at 16 MHz. Sections are those of its data sheet, Microchip DS40002061B. */
#ifndef BOARD_H
#define BOARD_H

#define HW_BOARD_NAME "uno"
#define HW_FIRMWARE_NAME "hilwire-uno"
#define HW_CAPABILITIES                                                                            \
    (HW_CAP_I2C | HW_CAP_SPI | HW_CAP_GPIO | HW_CAP_I2C_TARGET | HW_CAP_SPI_TARGET |                 \
     HW_CAP_SET_BAUD | HW_CAP_RESET | HW_CAP_UID)
#define HW_MAX_FRAME 136
#define HW_WINDOW 1
#define HW_RX_CREDIT 127
#define HW_EVENT_SIZE 46
#define HW_I2C_BUSES 1
#define HW_TARGET_SLOTS 1
#define HW_TARGET_SWITCHED /* the interface acknowledges its address by itself */

#define UNO_HZ 16000000ul

#endif
