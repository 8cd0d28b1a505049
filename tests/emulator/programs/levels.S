/* SPDX-License-Identifier: MIT */
/*
 * All three privilege levels, one after the other, for debuggers: M-mode, S-mode behind an mret, Sv39 switched on by a
 * satp write, a user program behind an sret, which makes three calls to the supervisor (ecall), each of which adds its argument to
 * `total`; after a WFI that a timer interrupt ends in M-mode, the end. Exit code: 0.
 *
 *      virtual                        physical
 *      0x80000000                     the same, for the supervisor    (a 1 GiB page)
 *      0x40001000                     user_code                       (4 KiB pages)
 *      0xffffffc0_00000000            0x80000000, for the supervisor  (a 1 GiB page)
 */
#define FINISHER 0x100000
#define MTIME 0x200bff8
#define MTIMECMP 0x2004000
#define PASS 0x5555

#define PTE_LEAF 0xcf                       /* V R W X A D */
#define PTE_USER 0xdb                       /* V R X U A D */

    .option norvc
    .section .entry, "ax"
    .globl _start
_start:
    csrr    t0, mhartid
    bnez    t0, park
    la      t0, machine_trap
    csrw    mtvec, t0
    li      t0, -1
    csrw    pmpaddr0, t0
    li      t0, 0x1f
    csrw    pmpcfg0, t0
    li      t0, 0x100                       /* calls from U go to S */
    csrw    medeleg, t0
    csrwi   mideleg, 0
    li      t0, 0x1800
    csrc    mstatus, t0
    li      t0, 0x800                       /* MPP = S */
    csrs    mstatus, t0
    la      t0, supervisor
    csrw    mepc, t0
    .globl to_supervisor
to_supervisor:
    mret

park:
    wfi
    j       park

    .globl supervisor
supervisor:
    la      t0, supervisor_trap
    csrw    stvec, t0
    la      t0, root                        /* the page tables' entries */
    li      t1, (0x80000000 >> 2) | PTE_LEAF
    sd      t1, 2*8(t0)
    addi    t0, t0, 2040
    sd      t1, 256*8-2040(t0)
    addi    t0, t0, -2040
    la      t1, middle
    srli    t1, t1, 2
    ori     t1, t1, 1
    sd      t1, 1*8(t0)
    la      t0, middle
    la      t1, leaves
    srli    t1, t1, 2
    ori     t1, t1, 1
    sd      t1, 0(t0)
    la      t0, leaves
    la      t1, user_code
    srli    t1, t1, 2
    ori     t1, t1, PTE_USER
    sd      t1, 1*8(t0)
    la      t0, root
    srli    t0, t0, 12
    li      t1, 8
    slli    t1, t1, 60
    or      t0, t0, t1
    .globl write_satp
write_satp:
    csrw    satp, t0
    sfence.vma
    li      t0, 0x40001000
    csrw    sepc, t0
    li      t0, 0x100
    csrc    sstatus, t0
    .globl to_user
to_user:
    sret

    .balign 4
    .globl supervisor_trap
supervisor_trap:
    la      t0, total                       /* in the high half: 0xffffffc0_... */
    li      t1, 0x80000000
    sub     t0, t0, t1
    li      t1, -1
    slli    t1, t1, 38
    add     t0, t0, t1
    ld      t1, (t0)
    add     t1, t1, a0
    .globl add_to_total
add_to_total:
    sd      t1, (t0)
    csrr    t0, sepc
    addi    t0, t0, 4
    csrw    sepc, t0
    li      t0, 3
    beq     a0, t0, finish
    sret

    .globl finish
finish:
    ecall                                   /* to M: the timer, please */
    .globl wait
wait:
    wfi
    j       wait

    .balign 4
    .globl machine_trap
machine_trap:
    csrr    t0, mcause
    bltz    t0, end
    li      t0, MTIME
    ld      t0, (t0)
    addi    t0, t0, 100
    li      t1, MTIMECMP
    sd      t0, (t1)
    li      t0, 0x80
    csrw    mie, t0
    csrr    t0, mepc
    addi    t0, t0, 4
    csrw    mepc, t0
    mret
end:
    li      t0, FINISHER
    li      t1, PASS
    sw      t1, (t0)
    j       .

/* Linked here, run at 0x40001000. */
    .balign 4096
    .globl user_code
user_code:
    li      a0, 1
    ecall
    li      a0, 2
    ecall
    li      a0, 3
    ecall
    j       .
    .balign 4096

    .bss
    .balign 4096
root:
    .space 4096
middle:
    .space 4096
leaves:
    .space 4096
    .globl total
total:
    .space 8
