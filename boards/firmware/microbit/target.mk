$(eval $(call CORTEXM,microbit,microbit,cortex-m0,0,256K,0x20000000,16K))
microbit.sources += cortexm/softi2c.c
