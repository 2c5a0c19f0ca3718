/* A HAL whose only happening is the controller on the wires: host_sending is called with each octet
 * that the board sends, as an interrupt that comes while it waits for its UART. */
#include "hal.h"
#include "hilwire.h"

uint32_t host_us;
uint8_t host_listening;
void (*host_sending)(uint8_t octet);

void hal_tx(uint8_t octet)
{
    if (host_sending)
        host_sending(octet);
}

void hal_init(void) {}
int hal_rx(void) { return HAL_RX_EMPTY; }
void hal_flush(void) {}
void hal_drain(void) {}
void hal_idle(void) {}
uint32_t hal_micros(void) { return host_us += 7; }
uint32_t hal_boot_id(void) { return 1; }
uint8_t hal_reset_cause(void) { return 1; }
void hal_identity(uint8_t uid[8]) { hw_put32(hw_put32(uid, 0), 0); }
void hal_target_lock(void) {}
void hal_target_unlock(void) {}

uint8_t hal_describe(uint32_t offset, uint8_t *octets, uint8_t n)
{
    (void)offset, (void)octets, (void)n;
    return 0;
}

uint8_t hal_target_listen(uint8_t slot, uint8_t bus, uint16_t address, uint8_t on)
{
    (void)slot, (void)bus, (void)address;
    host_listening = on;
    return HW_OK;
}
