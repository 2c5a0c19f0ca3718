/* I2C0 of the LM3S6965. */
#ifndef LM3S_I2C_H
#define LM3S_I2C_H

void i2c_init(void);

#endif
