$(eval $(call CORTEXM,lm3s6965evb,lm3s6965evb,cortex-m3,0,256K,0x20000000,64K))
lm3s6965evb.sources += cortexm/pl011.c
