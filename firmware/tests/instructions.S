/* SPDX-License-Identifier: MIT */
/*
 * The instructions that the emulation test presents to the handlers, each with what it should do:
 *
 *   struct instruction { name, code, register, size in bytes, flags }
 */
#define STORE 1
#define SIGNED 2
#define FLOAT 4
#define SHORT 8

    .option arch, +d
    .macro  insn size, flags, reg, text:vararg
    .section .rodata
7:  .asciz  "\text"
    .text
    .balign 4
8:  \text
    .balign 4
    .section .table, "aw"
    .dword  7b, 8b
    .word   \reg, \size, \flags, 0
    .previous
    .endm

    .section .table, "aw"
    .balign 8
    .globl  instructions
instructions:

    .option norvc
    insn 2, SIGNED, 13, lh a3, 0(a0)
    insn 2, 0, 13, lhu a3, 0(a0)
    insn 4, SIGNED, 13, lw a3, 0(a0)
    insn 4, 0, 13, lwu a3, 0(a0)
    insn 8, SIGNED, 13, ld a3, 0(a0)
    insn 8, SIGNED, 31, ld t6, -2048(t6)
    insn 4, SIGNED, 0, lw zero, 0(a0)
    insn 2, STORE, 13, sh a3, 0(a0)
    insn 4, STORE, 13, sw a3, 0(a0)
    insn 8, STORE, 13, sd a3, 0(a0)
    insn 8, STORE, 31, sd t6, 2047(a0)
    insn 8, STORE, 0, sd zero, 0(a0)
    insn 4, FLOAT, 13, flw fa3, 0(a0)
    insn 8, FLOAT, 13, fld fa3, 0(a0)
    insn 8, FLOAT, 0, fld ft0, 0(a0)
    insn 8, FLOAT, 31, fld ft11, 0(a0)
    insn 4, FLOAT + STORE, 13, fsw fa3, 0(a0)
    insn 8, FLOAT + STORE, 13, fsd fa3, 0(a0)
    insn 8, FLOAT + STORE, 31, fsd ft11, 0(a0)
    .option rvc
    insn 4, SHORT + SIGNED, 13, c.lw a3, 4(a0)
    insn 8, SHORT + SIGNED, 13, c.ld a3, 8(a0)
    insn 4, SHORT + STORE, 13, c.sw a3, 4(a0)
    insn 8, SHORT + STORE, 13, c.sd a3, 8(a0)
    insn 8, SHORT + FLOAT, 13, c.fld fa3, 8(a0)
    insn 8, SHORT + FLOAT + STORE, 13, c.fsd fa3, 8(a0)
    insn 4, SHORT + SIGNED, 31, c.lwsp t6, 4(sp)
    insn 8, SHORT + SIGNED, 31, c.ldsp t6, 8(sp)
    insn 4, SHORT + STORE, 31, c.swsp t6, 4(sp)
    insn 8, SHORT + STORE, 31, c.sdsp t6, 8(sp)
    insn 8, SHORT + FLOAT, 31, c.fldsp ft11, 8(sp)
    insn 8, SHORT + FLOAT + STORE, 31, c.fsdsp ft11, 8(sp)
    insn 0, 0, 0, nop
