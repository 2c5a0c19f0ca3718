$(eval $(call CORTEXM,rp2040,pico,cortex-m0plus,0x10000000,2M,0x20000000,256K))
rp2040.sources += cortexm/softi2c.c cortexm/pl011.c
