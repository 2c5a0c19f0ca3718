/* Registers of STM32F4 that more than one file moves (RM0368: 6 RCC, 8 GPIO). */
#ifndef STM32F4_H
#define STM32F4_H

#include "cortexm.h"

#define RCC(offset) REG(0x40023800 + (offset))
enum { RCC_AHB1ENR = 0x30, RCC_APB1ENR = 0x40, RCC_APB2ENR = 0x44, RCC_CSR = 0x74 };

enum { GPIOA = 0x40020000, GPIOB = 0x40020400 };
#define GPIO_MODER(port) REG((port) + 0x00)
#define GPIO_OTYPER(port) REG((port) + 0x04)
#define GPIO_OSPEEDR(port) REG((port) + 0x08)
#define GPIO_PUPDR(port) REG((port) + 0x0C)
#define GPIO_IDR(port) REG((port) + 0x10)
#define GPIO_BSRR(port) REG((port) + 0x18)
#define GPIO_AFR(port, pin) REG((port) + 0x20 + ((pin) >> 3) * 4u)

static inline void pin_mode(uint32_t port, uint8_t pin, uint32_t mode)
{
    GPIO_MODER(port) = (GPIO_MODER(port) & ~(3u << 2 * pin)) | mode << 2 * pin;
}

static inline void pin_output(uint32_t port, uint8_t pin) { pin_mode(port, pin, 1); }

static inline void pin_open_drain(uint32_t port, uint8_t pin)
{
    GPIO_OTYPER(port) |= 1u << pin;
    GPIO_PUPDR(port) = (GPIO_PUPDR(port) & ~(3u << 2 * pin)) | 1u << 2 * pin;
    pin_mode(port, pin, 1);
}

static inline void pin_function(uint32_t port, uint8_t pin, uint32_t function)
{
    uint8_t shift = 4 * (pin & 7);
    GPIO_AFR(port, pin) = (GPIO_AFR(port, pin) & ~(15u << shift)) | function << shift;
    pin_mode(port, pin, 2);
}

void spi_init(void);

#endif
