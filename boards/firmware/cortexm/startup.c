/* Vectors, the way from reset to main, and what the RAM tells about the reset before.
 *
 * Nothing here knows a chip: the address of the image and the size of its memories are link.ld's. */
#include "cortexm.h"

#define SCB_AIRCR 0xE000ED0Cu
#define SYST_CSR 0xE000E010u
#define SYST_RVR 0xE000E014u
#define SYST_CVR 0xE000E018u
#define NVIC_ISER 0xE000E100u

enum { KEPT = 0x48494C57, IRQS = 48 };

extern uint32_t _data_load[], _data_start[], _data_end[], _bss_start[], _bss_end[], _stack[];
extern const uint8_t _uid_store[8];
int main(void);

struct kept kept __attribute__((section(".kept")));

void chip_irq_enable(uint8_t number) { REG(NVIC_ISER + (number / 32u) * 4) = 1u << (number & 31); }

void chip_reset(uint8_t cause)
{
    kept.cause = cause;
    __asm volatile("dsb" ::: "memory");
    REG(SCB_AIRCR) = 0x05FA0004;
    for (;;) {
    }
}

void wake_every(uint32_t cycles)
{
    REG(SYST_RVR) = cycles - 1;
    REG(SYST_CVR) = 0;
    REG(SYST_CSR) = 7;
}

static void wake(void) {}
static void fault(void) { chip_reset(HW_RESET_FAULT); }

/* Stir what the RAM holds, before it is cleared, into the noise that boot ids are made of. */
static void stir(void)
{
    uint32_t noise = kept.noise;
    for (uint32_t *word = _data_start; word < _bss_end; word++)
        noise = (noise << 5 | noise >> 27) ^ *word;
    if (kept.magic != KEPT) {
        kept.magic = KEPT;
        kept.boots = 0;
        kept.cause = HW_RESET_POWER_ON;
    }
    kept.boots++;
    kept.noise = noise + kept.boots * 0x9E3779B9u;
}

void reset(void)
{
    const uint32_t *from = _data_load;
    stir();
    for (uint32_t *to = _data_start; to < _data_end;)
        *to++ = *from++;
    for (uint32_t *to = _bss_start; to < _bss_end;)
        *to++ = 0;
    main();
    fault();
}

__attribute__((section(".vectors"), used)) static void (*const vectors[16 + IRQS])(void) = {
    (void (*)(void))_stack, reset,        fault, fault, fault, fault, fault, 0, 0, 0, 0, fault, fault, 0,
    fault,                  wake,         [16 + HW_LINK_IRQ] = link_irq,
#ifdef HW_WAKE_IRQ
    [16 + HW_WAKE_IRQ] = HW_WAKE_HANDLER,
#endif
};

/* --- what hal.h asks and the RAM or the flash can answer ----------------------------------- */

__attribute__((weak)) void chip_uid(uint8_t uid[8])
{
    for (uint8_t i = 0; i < 8; i++)
        uid[i] = 0;
}

__attribute__((weak)) uint32_t chip_noise(void) { return 0; }
__attribute__((weak)) uint8_t chip_reset_cause(void) { return HW_RESET_UNKNOWN; }

/* The number written into the last octets of the flash comes before that of the chip: so boards
 * whose chip has none, and emulated ones that all have the same, can be told apart. */
void hal_identity(uint8_t uid[8])
{
    uint8_t ones = 0xFF, any = 0;
    for (uint8_t i = 0; i < 8; i++) {
        uid[i] = ((volatile const uint8_t *)_uid_store)[i];
        ones &= uid[i];
        any |= uid[i];
    }
    if (ones == 0xFF || !any)
        chip_uid(uid);
}

uint32_t hal_boot_id(void)
{
    static uint32_t id;
    if (!id) {
        id = kept.noise ^ chip_noise();
        id ^= id >> 16;
        id *= 0x85EBCA6Bu;
        id ^= id >> 13;
        id |= !id;
    }
    return id;
}

uint8_t hal_reset_cause(void)
{
    static uint8_t cause;
    if (!cause) {
        uint8_t chip = chip_reset_cause();
        cause = (uint8_t)kept.cause;
        kept.cause = HW_RESET_EXTERNAL; /* of the next one, unless somebody announces another */
        if (cause == HW_RESET_EXTERNAL && chip != HW_RESET_UNKNOWN)
            cause = chip;
    }
    return cause;
}

uint8_t hal_describe(uint32_t offset, uint8_t *octets, uint8_t n)
{
    static const char text[] = HW_DESCRIPTION;
    uint8_t taken = 0;
    while (taken < n && offset < sizeof text - 1)
        octets[taken++] = (uint8_t)text[offset++];
    return taken;
}
