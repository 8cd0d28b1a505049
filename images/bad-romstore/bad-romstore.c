/* SPDX-License-Identifier: MIT */
/*
 * Stores to the boot ROM. On the virt board they are accepted and change nothing: no trap, and the ROM reads as before.
 */
#include "print.h"
#include "trap.h"

#define BOOT_ROM 0x1000UL

int main(void)
{
    volatile uint32_t *word = (volatile uint32_t *)BOOT_ROM;
    volatile uint8_t *byte = (volatile uint8_t *)BOOT_ROM + 5;

    trap_install();                     /* a trap would be unexpected: it ends the image with exit code 1 */
    uint32_t before = *word;
    uint8_t byte_before = *byte;
    *word = ~before;
    *byte = (uint8_t)~byte_before;
    bool same = *word == before && *byte == byte_before;

    print("Stored to the boot ROM: no trap.\n");
    print("The ROM %s.\n", same ? "is unchanged" : "HAS CHANGED");
    return !same;
}
