$(eval $(call CORTEXM,stm32f4,nucleo_f4,cortex-m4,0x08000000,256K,0x20000000,64K))
stm32f4.sources += cortexm/softi2c.c
