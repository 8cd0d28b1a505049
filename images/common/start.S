/* SPDX-License-Identifier: MIT */
/*
 * Start-up of an S-mode image written in C. The firmware enters at _start with a0 = hart id, a1 = device tree:
 * clear .bss, take this hart's stack, exit(main(hart id, device tree)). Harts started with start_hart() (smp.c) enter at
 * hart_entry with a0 = hart id, a1 = the function to run.
 */
#include "stack.h"

    .section .entry, "ax"
    .globl _start
_start:
    la      t0, _bss_start
    la      t1, _bss_end
1:  bgeu    t0, t1, 2f
    sd      zero, (t0)
    addi    t0, t0, 8
    j       1b
2:  call    take_stack
    call    main
    call    exit

    .globl hart_entry
hart_entry:
    call    take_stack
    jalr    a1
1:  wfi
    j       1b

take_stack:                         /* by hart id in a0 */
    la      sp, stacks
    addi    t0, a0, 1
    slli    t0, t0, STACK_SHIFT
    add     sp, sp, t0
    ret

    .section .bss
    .balign 16
stacks:
    .zero   MAX_HARTS << STACK_SHIFT
