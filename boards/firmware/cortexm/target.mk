# $(call CORTEXM,name,type,processor,flash,its size,RAM,its size): what targets with a Cortex-M share.
define CORTEXM
TARGETS += $(1)
$(1).cc := arm-none-eabi-gcc
$(1).objcopy := arm-none-eabi-objcopy
$(1).size := arm-none-eabi-size
$(1).image := hilwire-$(2).hex
$(1).sources := cortexm/startup.c cortexm/ring.c $$(sort $$(wildcard $(1)/*.c $(1)/*.S))
$(1).headers := $$(wildcard cortexm/*.h) cortexm/target.mk
$(1).flags := -mcpu=$(3) -mthumb -Os -ffreestanding -Icortexm -I$(1)
$(1).ld := cortexm/link.ld
$(1).ldflags := -nostdlib -T cortexm/link.ld -Wl,--build-id=none,--defsym=FLASH=$(4),--defsym=FLASH_SIZE=$(5),--defsym=RAM=$(6),--defsym=RAM_SIZE=$(7)
$(1).libs := -lgcc
endef
