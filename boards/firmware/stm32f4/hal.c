/* STM32F4 on a Nucleo-64: USART2 (RM0368 section 19) as the link, TIM2 (13) as the clock.
 *
 * Everything runs from the internal oscillator of 16 MHz, which reset has chosen. */
#include "softi2c.h"
#include "stm32f4.h"

#define TIM2(offset) REG(0x40000000 + (offset))
#define USART2_SR REG(0x40004400)
#define USART2_DR REG(0x40004404)
#define USART2_BRR REG(0x40004408)
#define USART2_CR1 REG(0x4000440C)

enum { SR_ERRORS = 0xE, SR_RXNE = 0x20, SR_TC = 0x40, SR_TXE = 0x80, CR1_ON_RXNEIE = 0x202C };
enum { TIM_CR1 = 0, TIM_EGR = 0x14, TIM_CNT = 0x24, TIM_PSC = 0x28, TIM_ARR = 0x2C };

/* The rate of TIM2 in Hz where it is not the chip's (an emulator's, for one), before the UID. */
extern const uint32_t _clock_store;

static uint32_t timer_hz(void)
{
    uint32_t hz = *(volatile const uint32_t *)&_clock_store;
    return hz && hz != 0xFFFFFFFF ? hz : HW_CPU_HZ;
}

/* Reading the status, then the data is what clears the interrupt and the errors (19.6.1). */
void link_irq(void)
{
    uint32_t status;
    while ((status = USART2_SR) & (SR_RXNE | SR_ERRORS)) {
        uint8_t octet = (uint8_t)USART2_DR;
        if (status & SR_ERRORS)
            ring_lost();
        else
            ring_put(octet);
    }
}

static uint32_t divisor(uint32_t baud)
{
    uint32_t steps, rate;
    if (!baud || baud > HW_CPU_HZ / 16)
        return 0;
    steps = (HW_CPU_HZ + baud / 2) / baud;
    rate = HW_CPU_HZ / steps;
    return steps >> 16 || rate > baud + baud / 50 || rate < baud - baud / 50 ? 0 : steps;
}

uint8_t hal_can_baud(uint32_t baud) { return divisor(baud) != 0; }

uint8_t hal_set_baud(uint32_t baud)
{
    uint32_t steps = divisor(baud);
    if (steps)
        USART2_BRR = steps;
    return steps != 0;
}

void hal_init(void)
{
    RCC(RCC_AHB1ENR) |= 3;                /* GPIOA, GPIOB */
    RCC(RCC_APB1ENR) |= 1 << 0 | 1 << 17; /* TIM2, USART2 */
    TIM2(TIM_PSC) = timer_hz() / 1000000 - 1;
    TIM2(TIM_ARR) = 0xFFFFFFFF;
    TIM2(TIM_EGR) = 1; /* takes the prescaler over */
    TIM2(TIM_CR1) = 1;
    pin_function(GPIOA, 2, 7);
    pin_function(GPIOA, 3, 7);
    hal_set_baud(HW_BAUD);
    USART2_CR1 = CR1_ON_RXNEIE;
    softi2c_init();
    spi_init();
    chip_irq_enable(HW_LINK_IRQ);
    wake_every(HW_CPU_HZ / 100);
}

void hal_tx(uint8_t octet)
{
    while (!(USART2_SR & SR_TXE)) {
    }
    USART2_DR = octet;
}

void hal_flush(void) {}

void hal_drain(void)
{
    while (!(USART2_SR & SR_TC)) {
    }
}

uint32_t hal_micros(void) { return TIM2(TIM_CNT); }

/* 96 bits, of which the upper two words hold lot and wafer, the lower the place on it (24.1): folded. */
void chip_uid(uint8_t uid[8])
{
    hw_put32(hw_put32(uid, REG(0x1FFF7A10) ^ REG(0x1FFF7A18)), REG(0x1FFF7A14));
}

/* The flags of RCC_CSR (6.3.21); power-on sets that of the brown-out circuit too. */
uint8_t chip_reset_cause(void)
{
    uint32_t flags = RCC(RCC_CSR);
    RCC(RCC_CSR) |= 1u << 24;
    return flags & 1u << 27   ? HW_RESET_POWER_ON
           : flags & 3u << 29 ? HW_RESET_WATCHDOG
           : flags & 1u << 25 ? HW_RESET_BROWN_OUT
                              : HW_RESET_UNKNOWN;
}

void hal_reset(uint8_t kind)
{
    (void)kind;
    chip_reset(HW_RESET_SOFTWARE);
}
