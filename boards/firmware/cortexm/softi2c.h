/* I2C by software (NXP UM10204) on two open-drain pins that the board's wires.h moves:
 * wire_scl(level), wire_sda(level), wire_scl_is(), wire_sda_is(), wire_init(). Level 1 releases. */
#ifndef SOFTI2C_H
#define SOFTI2C_H

void softi2c_init(void);

#endif
