/* SPDX-License-Identifier: MIT */
/* Start, traps, and output of the privileged-architecture programs; harness.h tells how they are used. */
#include "harness.h"

/* offsets in `state` */
#define RETURN 0
#define NEXT_NAME 8
#define NAME 16
#define FAILED 24
#define NUMBER 32
#define FIRST_FAILED 40

    .section .entry, "ax"
    .globl _start
_start:
    csrr    t0, mhartid
    bnez    t0, sleep
    j       program
sleep:
    wfi
    j       sleep

    .text
/* Begin the check named at t6, and return to t5. */
    .globl begin_check
begin_check:
    la      sp, stack_end
    la      s7, state
    sd      t5, RETURN(s7)
    sd      t6, NEXT_NAME(s7)
    jal     report
    ld      t6, NEXT_NAME(s7)
    sd      t6, NAME(s7)
    sd      zero, FAILED(s7)
    ld      s11, NUMBER(s7)
    addi    s11, s11, 1
    sd      s11, NUMBER(s7)
    la      s9, unexpected_trap
    jal     reset_state
    la      s7, state
    ld      t5, RETURN(s7)
    jr      t5

/* Print "ok" for the check that ends, if it has not failed. */
report:
    mv      s6, ra
    la      s7, state
    ld      t0, NUMBER(s7)
    beqz    t0, 1f
    ld      t0, FAILED(s7)
    bnez    t0, 1f
    la      a0, text_ok
    jal     print_result
    jal     print_newline
1:  jr      s6

/* Everything that a check may change goes back to what it was. */
reset_state:
    la      t0, trap_m
    csrw    mtvec, t0
    csrw    mstatus, zero
    la      t0, trap_s
    csrw    stvec, t0
    csrw    mie, zero
    csrw    mip, zero
    csrw    medeleg, zero
    csrw    mideleg, zero
    csrw    mcounteren, zero
    csrw    scounteren, zero
    csrw    mcountinhibit, zero
    csrw    menvcfg, zero
    csrw    senvcfg, zero
    csrw    mscratch, zero
    csrw    sscratch, zero
    csrw    satp, zero
    csrw    pmpcfg0, zero
    csrw    pmpcfg2, zero
    li      t0, -1
    csrw    pmpaddr0, t0
    li      t0, 0x1f
    csrw    pmpcfg0, t0
    li      t0, CLINT
    sw      zero, (t0)
    li      t0, CLINT_MTIMECMP
    li      t1, -1
    sd      t1, (t0)
    li      t0, UART
    sb      zero, 1(t0)                     /* no interrupts from the UART, */
    lbu     t1, 2(t0)
    li      t0, PLIC + 0x2000               /* and the PLIC lets none through */
    sw      zero, (t0)
    sw      zero, 0x80(t0)
    la      t0, record_m
    la      t1, record_end
1:  sd      zero, (t0)
    addi    t0, t0, 8
    bltu    t0, t1, 1b
    la      t0, tables
    la      t1, tables_end
1:  sd      zero, (t0)
    addi    t0, t0, 8
    bltu    t0, t1, 1b
    mv      s5, ra
    MAP_AT(root57, 0, root48, V)
    MAP_AT(root48, 0, root39, V)
    MAP_AT(root39, 1, mid39, V)
    MAP_CONSTANT(root39, 2, (0x80000000 >> 2) | RWXAD)
    MAP_CONSTANT(root39, 3, (0x80000000 >> 2) | RWXAD | U)
    MAP_AT(mid39, 0, leaves, V)
    sfence.vma
    fence.i
    jr      s5

    .globl trap_m, trap_s, unexpected_trap, fail_values, fail_reached, finish
    .balign 4
trap_m:
    csrr    t6, mstatus
    li      t5, MPRV
    csrc    mstatus, t5
    la      t5, record_m
    sd      t6, STATUS(t5)
    csrr    t6, mcause
    sd      t6, CAUSE(t5)
    csrr    t6, mepc
    sd      t6, EPC(t5)
    csrr    t6, mtval
    sd      t6, TVAL(t5)
    ld      t6, TAKEN(t5)
    addi    t6, t6, 1
    sd      t6, TAKEN(t5)
    jr      s9

/* Ends with an ecall, or with an ebreak where ecalls from S are delegated. */
    .balign 4
trap_s:
    la      t5, record_s
    csrr    t6, sstatus
    sd      t6, STATUS(t5)
    csrr    t6, scause
    sd      t6, CAUSE(t5)
    csrr    t6, sepc
    sd      t6, EPC(t5)
    csrr    t6, stval
    sd      t6, TVAL(t5)
    ld      t6, TAKEN(t5)
    addi    t6, t6, 1
    sd      t6, TAKEN(t5)
    lla     t5, leave_s_by_ebreak
    ld      t5, (t5)
    bnez    t5, 1f
    ecall
1:  ebreak

unexpected_trap:
    csrw    mstatus, zero                   /* MPRV */
    jal     print_failure
    la      a0, text_trap
    jal     print
    ld      a0, record_m + CAUSE
    jal     print_hex
    la      a0, text_epc
    jal     print
    ld      a0, record_m + EPC
    jal     print_hex
    la      a0, text_tval
    jal     print
    ld      a0, record_m + TVAL
    jal     print_hex
    jal     print_newline
    jr      s10

/* t5 is, t6 should be. */
fail_values:
    csrw    mstatus, zero
    mv      s4, t5
    mv      s5, t6
    jal     print_failure
    la      a0, text_line
    jal     print
    mv      a0, s8
    jal     print_decimal
    la      a0, text_is
    jal     print
    mv      a0, s4
    jal     print_hex
    la      a0, text_should
    jal     print
    mv      a0, s5
    jal     print_hex
    jal     print_newline
    jr      s10

fail_reached:
    csrw    mstatus, zero
    jal     print_failure
    la      a0, text_line
    jal     print
    mv      a0, s8
    jal     print_decimal
    la      a0, text_reached
    jal     print
    jal     print_newline
    jr      s10

finish:
    jal     report
    la      s7, state
    ld      t0, FIRST_FAILED(s7)
    li      t1, 0x5555
    beqz    t0, 1f
    slli    t1, t0, 16
    li      t0, 0x3333
    or      t1, t1, t0
1:  li      t0, FINISHER
    sw      t1, (t0)
    j       sleep

print_failure:
    mv      s6, ra
    la      sp, stack_end
    la      t0, trap_m
    csrw    mtvec, t0
    la      s7, state
    li      t0, 1
    sd      t0, FAILED(s7)
    ld      t0, FIRST_FAILED(s7)
    bnez    t0, 1f
    ld      t0, NUMBER(s7)
    sd      t0, FIRST_FAILED(s7)
1:  la      a0, text_not_ok
    jal     print_result
    jr      s6

/* "<a0> <number> <name>" */
print_result:
    addi    sp, sp, -16
    sd      ra, (sp)
    jal     print
    ld      a0, NUMBER(s7)
    jal     print_decimal
    la      a0, text_space
    jal     print
    ld      a0, NAME(s7)
    jal     print
    ld      ra, (sp)
    addi    sp, sp, 16
    ret

print:
    li      t0, UART
1:  lbu     t1, (a0)
    beqz    t1, 3f
2:  lbu     t2, 5(t0)
    andi    t2, t2, 0x20
    beqz    t2, 2b
    sb      t1, (t0)
    addi    a0, a0, 1
    j       1b
3:  ret

print_newline:
    la      a0, text_newline
    j       print

print_decimal:
    la      a1, digits_end
    li      t0, 10
1:  addi    a1, a1, -1
    remu    t1, a0, t0
    addi    t1, t1, '0'
    sb      t1, (a1)
    divu    a0, a0, t0
    bnez    a0, 1b
    mv      a0, a1
    j       print

print_hex:
    la      a1, digits_end
    li      t0, 10
1:  addi    a1, a1, -1
    andi    t1, a0, 15
    blt     t1, t0, 2f
    addi    t1, t1, 'a' - '0' - 10
2:  addi    t1, t1, '0'
    sb      t1, (a1)
    srli    a0, a0, 4
    bnez    a0, 1b
    mv      a0, a1
    j       print

    .section .rodata
text_ok:        .asciz "ok "
text_not_ok:    .asciz "not ok "
text_space:     .asciz " "
text_newline:   .asciz "\r\n"
text_line:      .asciz ": line "
text_is:        .asciz ": 0x"
text_should:    .asciz ", expected 0x"
text_reached:   .asciz ": must not be reached"
text_trap:      .asciz ": unexpected trap, cause 0x"
text_epc:       .asciz ", epc 0x"
text_tval:      .asciz ", tval 0x"

    .data
    .globl record_m, record_s, leave_s_by_ebreak
    .balign 8
state:      .fill 6, 8, 0
digits:     .fill 24, 1, 0
digits_end: .quad 0
record_m:   .fill 5, 8, 0
record_s:   .fill 5, 8, 0
leave_s_by_ebreak: .quad 0
record_end:

    .bss
    .balign 16
    .fill 1024, 1, 0
stack_end:
    .globl tables, root57, root48, root39, mid39, leaves, pages, page0, page1, page2, page3
    .balign 4096
tables:
root57: .fill 4096, 1, 0
root48: .fill 4096, 1, 0
root39: .fill 4096, 1, 0
mid39:  .fill 4096, 1, 0
leaves: .fill 4096, 1, 0
tables_end:
pages:                                      /* for the checks to use as they like */
page0:  .fill 4096, 1, 0
page1:  .fill 4096, 1, 0
page2:  .fill 4096, 1, 0
page3:  .fill 4096, 1, 0
