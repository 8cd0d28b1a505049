/* SPDX-License-Identifier: MIT */
/* Never ends and never traps: one instruction that jumps to itself. Only a watchdog stops it. */
    .section .entry, "ax"
    .globl _start
_start:
    j       _start
