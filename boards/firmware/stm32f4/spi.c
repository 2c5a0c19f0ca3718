/* SPI1 of STM32F4 as controller (RM0368 section 20), its chip select a plain output. */
#include "stm32f4.h"

#define SPI1_CR1 REG(0x40013000)
#define SPI1_SR REG(0x40013008)
#define SPI1_DR REG(0x4001300C)

enum { CR1_MASTER = 1 << 2, CR1_ON = 1 << 6, CR1_SOFT_NSS = 3 << 8, CR1_BAUD = 3 };
enum { SR_RXNE = 1, SR_TXE = 2, CS_PIN = 6, SPI_MODES = 4 };

void spi_init(void)
{
    RCC(RCC_APB2ENR) |= 1 << 12;
    GPIO_BSRR(GPIOB) = 1 << CS_PIN;
    pin_output(GPIOB, CS_PIN);
    for (uint8_t pin = 5; pin < 8; pin++)
        pin_function(GPIOA, pin, 5);
    GPIO_OSPEEDR(GPIOA) |= 5u << 10 | 1u << 14; /* 8 MHz is above what the slowest edges can do */
    hal_spi_config(0, 0, 0, 1000000);
}

/* The clock is divided by 2 to 256; the mode's bits are those of CPOL and CPHA. */
uint32_t hal_spi_config(uint8_t bus, uint8_t cs, uint8_t mode, uint32_t hz)
{
    uint32_t step = 0, rate = HW_CPU_HZ / 2;
    if (bus || cs || mode >= SPI_MODES)
        return 0;
    while (rate > hz && step < 8)
        rate >>= 1, step++;
    if (step == 8)
        return 0;
    SPI1_CR1 = CR1_MASTER | CR1_SOFT_NSS;
    SPI1_CR1 = CR1_MASTER | CR1_SOFT_NSS | CR1_ON | step << CR1_BAUD | mode;
    return rate;
}

uint8_t hal_spi_select(uint8_t bus, uint8_t cs, uint8_t active)
{
    if (bus || cs)
        return HW_INVALID;
    GPIO_BSRR(GPIOB) = active ? 0x10000u << CS_PIN : 1u << CS_PIN;
    return HW_OK;
}

uint8_t hal_spi_exchange(uint8_t bus, uint8_t octet)
{
    (void)bus;
    while (!(SPI1_SR & SR_TXE)) {
    }
    SPI1_DR = octet;
    while (!(SPI1_SR & SR_RXNE)) {
    }
    return (uint8_t)SPI1_DR;
}
