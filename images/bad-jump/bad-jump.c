/* SPDX-License-Identifier: MIT */
/*
 * A jump to where nothing is, while stvec points to where nothing is either. The fetch at NOWHERE is an access fault. Those are not
 * delegated: the firmware takes it in M-mode and hands it to the supervisor, at stvec, where the fetch is an access fault,
 * which the firmware hands to the supervisor, and so on without end. Each turn is some hundred instructions of M-mode,
 * so unlike in bad-traploop, instructions do retire.
 */
#include "csr.h"
#include "print.h"

#define NOWHERE 0x01000000UL            /* nothing answers there on the virt board */

int main(void)
{
    csr_write(stvec, NOWHERE + 0x1000);
    print("Jumping to nowhere, with a trap vector that is nowhere.\n");
    ((void (*)(void))NOWHERE)();
    print("Back from nowhere?\n");
    return 0;
}
