$(eval $(call CORTEXM,mps2_an385,mps2-an385,cortex-m3,0,4M,0x20000000,4M))
mps2_an385.sources += cortexm/softi2c.c
