/* SPDX-License-Identifier: MIT */
/*
 * Floating-point registers by number (float.h). The firmware's C code uses none, so they still hold the values of the
 * program that trapped. Each case is two instructions of 4 bytes, so that its number times 8 is its distance.
 */
    .option arch, +d
    .option norvc

    .text
    .globl float_read
float_read:                         /* a0 = register; returns a0 = bits */
    andi    a0, a0, 31
    slli    a0, a0, 3
    la      t0, 1f
    add     t0, t0, a0
    jr      t0
1:
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    fmv.x.d a0, f\n
    ret
    .endr

    .globl float_write
float_write:                        /* a0 = register, a1 = bits */
    andi    a0, a0, 31
    slli    a0, a0, 3
    la      t0, 1f
    add     t0, t0, a0
    jr      t0
1:
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    fmv.d.x f\n, a1
    ret
    .endr
