TARGETS += avr
avr.cc := avr-gcc
avr.objcopy := avr-objcopy -R .eeprom
avr.size := avr-size
avr.sources := $(sort $(wildcard avr/*.c))
avr.flags := -mmcu=atmega328p -Os -mcall-prologues -fpack-struct -fshort-enums -Iavr
avr.ldflags := -mmcu=atmega328p -Wl,--relax
avr.image := hilwire-uno.hex
