/* SPDX-License-Identifier: MIT */
/*
 * A trap handler that traps: its first instruction is an ebreak. Breakpoints are delegated, so the hart takes the same trap in
 * S-mode for ever, with sepc = stvec, and not one instruction retires. The firmware never sees any of it.
 */
    .section .entry, "ax"
    .globl _start
_start:
    la      t0, handler
    csrw    stvec, t0
    ebreak

    .balign 4
handler:
    ebreak
