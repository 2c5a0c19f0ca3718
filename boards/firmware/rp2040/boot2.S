/* The second stage of the RP2040's start, the first 256 octets of the flash (2.8.1.3.1).
 *
 * The boot ROM copies them to the end of the SRAM, checks the CRC-32 in the last four (0x04C11DB7,
 * preset to ones, not reflected) and jumps to the first. They make the flash readable in place with
 * the plain read command 03h, which every flash chip has (4.10.13), then start the image behind. */
    .syntax unified
    .cpu cortex-m0plus
    .thumb
    .section .boot2, "ax"

    .equ SSI, 0x18000000
    .equ CTRLR0, 0x00
    .equ CTRLR1, 0x04
    .equ SSIENR, 0x08
    .equ BAUDR, 0x14
    .equ SPI_CTRLR0, 0xF4

boot2:
    ldr r3, =SSI
    movs r0, #0
    str r0, [r3, #SSIENR]
    str r0, [r3, #CTRLR1]       /* one word of data for each access */
    movs r0, #2                 /* half the system's clock */
    str r0, [r3, #BAUDR]
    ldr r0, =0x001F0300         /* 32-bit words, "EEPROM read" */
    str r0, [r3, #CTRLR0]
    ldr r0, =0x03000218         /* command 03h of 8 bits, then an address of 24 */
    ldr r1, =SSI + SPI_CTRLR0
    str r0, [r1]
    movs r0, #1
    str r0, [r3, #SSIENR]
    ldr r0, =0x10000100
    ldr r1, =0xE000ED08         /* VTOR */
    str r0, [r1]
    ldm r0!, {r1, r2}
    msr msp, r1
    bx r2
    .ltorg
    .org 252
    .word 0x6149BCF7            /* CRC-32 */
