/* SPDX-License-Identifier: MIT */
/* Reads of mtime in the CLINT: 1 million. */
#include "finish.h"
    .globl _start
_start:
    li      s0, 250000
    li      a0, 0x0200bff8
1:  ld      a1, 0(a0)
    ld      a1, 0(a0)
    ld      a1, 0(a0)
    ld      a1, 0(a0)
    addi    s0, s0, -1
    bnez    s0, 1b
    finish
