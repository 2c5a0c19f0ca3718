/* Clock, sleep, reset, and what lasts in the EEPROM.
 *
 * EEPROM: octets 0 to 3 count boots (one write a boot: 100,000 boots are what a cell stands, section
 * 8.4), 8 to 15 are the identity, erased until the host has written one. */
#include "avr.h"

#include <avr/pgmspace.h>
#include <avr/sleep.h>
#include <avr/wdt.h>

enum { EE_BOOTS = 0, EE_UID = 8, WAKE_TICKS = 2000, SOFTWARE_MARK = 0x5AA5 };

static volatile uint32_t overflows;
static uint32_t boot_id;
/* Kept across resets: what the last software reset left, MCUSR, and whatever the power left. */
static uint16_t mark __attribute__((section(".noinit")));
static uint8_t cause_bits __attribute__((section(".noinit")));

/* Before anything else: after a watchdog reset the watchdog goes on with its shortest time. */
void save_cause(void) __attribute__((naked, used, section(".init3")));
void save_cause(void)
{
    cause_bits = MCUSR;
    MCUSR = 0;
    wdt_disable();
}

/* --- EEPROM (section 8.4) ------------------------------------------------------------------ */

static uint8_t eeprom_read(uint16_t at)
{
    loop_until_bit_is_clear(EECR, EEPE);
    EEAR = at;
    EECR |= _BV(EERE);
    return EEDR;
}

static void eeprom_write(uint16_t at, uint8_t octet)
{
    if (eeprom_read(at) == octet)
        return;
    EEDR = octet;
    uint8_t state = SREG;
    cli();
    EECR |= _BV(EEMPE);
    EECR |= _BV(EEPE);
    SREG = state;
    loop_until_bit_is_clear(EECR, EEPE);
}

/* --- time: timer 1 at 2 MHz, its overflows counted ------------------------------------------ */

ISR(TIMER1_OVF_vect) { overflows++; }

/* Once a millisecond the processor wakes and the core looks: for time that has run out. */
ISR(TIMER1_COMPA_vect) { OCR1A += WAKE_TICKS; }

uint32_t hal_micros(void)
{
    uint8_t state = SREG;
    cli();
    uint16_t low = TCNT1;
    uint32_t high = overflows;
    if ((TIFR1 & _BV(TOV1)) && low < 0x8000)
        high++;
    SREG = state;
    return high << 15 | low >> 1;
}

void hal_idle(void)
{
    cli();
    if (!link_waits() && !gpio_waits()) {
        sleep_enable();
        sei(); /* takes effect after the next instruction: nothing comes between */
        sleep_cpu();
        sleep_disable();
    }
    sei();
}

/* --- who and since when --------------------------------------------------------------------- */

/* A count of boots, stirred with what the RAM held: another number each time. */
static uint32_t make_boot_id(void)
{
    uint32_t boots = 0, hash = 2166136261ul;
    for (uint8_t i = 0; i < 4; i++)
        boots |= (uint32_t)eeprom_read(EE_BOOTS + i) << 8 * i;
    boots++;
    for (uint8_t i = 0; i < 4; i++)
        eeprom_write(EE_BOOTS + i, (uint8_t)(boots >> 8 * i));
    for (uint8_t i = 0; i < 12; i++) {
        uint8_t octet = i < 4 ? (uint8_t)(boots >> 8 * i) : eeprom_read(EE_UID - 4 + i);
        hash = (hash ^ octet) * 16777619ul;
    }
    return hash ^ mark;
}

void hal_init(void)
{
    TCCR1B = _BV(CS11);
    OCR1A = WAKE_TICKS;
    TIMSK1 = _BV(TOIE1) | _BV(OCIE1A);
    set_sleep_mode(SLEEP_MODE_IDLE);
    /* A boot loader has cleared WDRF; power, reset button and brown-out leave no mark. */
    if (mark == SOFTWARE_MARK && !(cause_bits & (_BV(PORF) | _BV(BORF) | _BV(EXTRF))))
        cause_bits = 0xFF;
    boot_id = make_boot_id();
    mark = 0;
    TWBR = (uint8_t)((UNO_HZ / 100000 - 16) / 2); /* until I2C_CONFIG; zero would be 1 MHz */
    link_init();
    sei();
}

uint32_t hal_boot_id(void) { return boot_id; }

uint8_t hal_reset_cause(void)
{
    if (cause_bits == 0xFF)
        return HW_RESET_SOFTWARE;
    if (cause_bits & _BV(WDRF))
        return HW_RESET_WATCHDOG;
    if (cause_bits & _BV(PORF)) /* rising power sets BORF too */
        return HW_RESET_POWER_ON;
    if (cause_bits & _BV(BORF))
        return HW_RESET_BROWN_OUT;
    return cause_bits & _BV(EXTRF) ? HW_RESET_EXTERNAL : HW_RESET_UNKNOWN; /* a boot loader clears it */
}

/* By the watchdog: it resets the peripherals too. */
void hal_reset(uint8_t kind)
{
    (void)kind;
    cli();
    mark = SOFTWARE_MARK;
    wdt_enable(WDTO_15MS);
    for (;;)
        ;
}

/* An erased EEPROM is no identity: zeros. */
void hal_identity(uint8_t uid[8])
{
    uint8_t erased = 0xFF;
    for (uint8_t i = 0; i < 8; i++)
        erased &= uid[i] = eeprom_read(EE_UID + i);
    for (uint8_t i = 0; erased == 0xFF && i < 8; i++)
        uid[i] = 0;
}

uint8_t hal_write_uid(const uint8_t uid[8])
{
    for (uint8_t i = 0; i < 8; i++)
        eeprom_write(EE_UID + i, uid[i]);
    return HW_OK;
}

uint8_t hal_describe(uint32_t offset, uint8_t *octets, uint8_t n)
{
    static const char text[] PROGMEM = "Arduino Uno. I2C 0: SDA A4, SCL A5, to 400 kHz. SPI 0: SCK D13, MISO D12, MOSI D11, "
                                       "CS 0 D10, to 8 MHz, or as target. GPIO: D2 to D9, A0 to A3 are 14 to 17.\n";
    uint8_t i = 0;
    for (; i < n && offset + i < sizeof text - 1; i++)
        octets[i] = pgm_read_byte(text + offset + i);
    return i;
}
