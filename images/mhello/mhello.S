/* SPDX-License-Identifier: MIT */
/*
 * An image in the firmware's place: entered in M-mode at 0x80000000 by the boot ROM, with nothing but the hardware. Hart 0
 * prints on the UART by polling it, and ends the machine with the test finisher; the others sleep.
 */
#define UART 0x10000000
#define UART_LSR 5
#define UART_LSR_THR_EMPTY 0x20
#define FINISHER 0x100000
#define FINISHER_PASS 0x5555

    .section .entry, "ax"
    .globl _start
_start:
    csrr    t0, mhartid
    bnez    t0, sleep
    la      s0, message
    li      s1, UART
1:  lbu     a0, (s0)
    beqz    a0, pass
2:  lbu     t0, UART_LSR(s1)
    andi    t0, t0, UART_LSR_THR_EMPTY
    beqz    t0, 2b
    sb      a0, (s1)
    addi    s0, s0, 1
    j       1b

pass:
    li      t0, FINISHER
    li      t1, FINISHER_PASS
    sw      t1, (t0)
sleep:
    wfi
    j       sleep

    .section .rodata
message:
    .asciz  "Hello from M-mode: no firmware, no supervisor, just this hart and a UART.\r\n"
