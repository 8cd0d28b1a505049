/* SPDX-License-Identifier: MIT */
/* Where a program starts: the number of arguments is at sp, pointers to them and to the environment follow. */
    .text
    .globl  _start
_start:
    .option push
    .option norelax
    lla     gp, __global_pointer$
    .option pop
    ld      a0, (sp)
    addi    a1, sp, 8
    slli    a2, a0, 3
    add     a2, a2, a1
    addi    a2, a2, 8
    andi    sp, sp, -16
    call    main
    li      a7, 94                              /* exit_group */
    ecall
