/* SPDX-License-Identifier: MIT */
/*
 * Random self-modification, without fence.i: stricter than the architecture, as kernels are that rely on coherent hardware.
 *
 * 64 pages hold functions `li a0, value; ret` every 10 bytes, so that some cross a page; `expected` holds their values. S-mode
 * under Sv39 sees the pages three times: read and execute, read and write, and all three. `rounds` times a function is patched
 * through a random one of the windows that can be written to, in one of four ways, or called through one that can be executed;
 * rarely a sfence.vma comes between. Before that, each page in turn is first stored to through both of its writable windows,
 * then run for the first time, then patched through each of them: the moment at which a page becomes code. Exit code: 0 if every call gave what was patched last, else 1; `wrong` counts.
 *
 * The host may set `seed` and `rounds` at 0x8000_0008 and 0x8000_0010; it finds `wrong` at 0x8000_0018.
 */
#define FINISHER 0x100000
#define PAGES 64
#define STRIDE 10
#define SLOTS (PAGES * 4096 / STRIDE)
#define WINDOW_RX  0x40000000
#define WINDOW_RW  0x40040000
#define WINDOW_RWX 0x40080000
#define LI_A0 0x513
#define RET 0x8067

#define V 1
#define R 2
#define W 4
#define X 8
#define AD 0xc0

    .option norvc
    .section .entry, "ax"
    .globl _start
_start:
    j       start
    .balign 8
seed:   .dword 0x2545f4914f6cdd1d
rounds: .dword 200000
wrong:  .dword 0

    .text
start:
    la      t0, trapped
    csrw    mtvec, t0
    li      t0, -1
    csrw    pmpaddr0, t0
    li      t0, 0x1f
    csrw    pmpcfg0, t0

    la      s0, code                        /* functions of value 0 everywhere */
    li      t0, LI_A0
    li      t1, RET
    li      t2, SLOTS
1:  sh      t0, 0(s0)
    sh      zero, 2(s0)
    sh      t1, 4(s0)
    sh      zero, 6(s0)
    addi    s0, s0, STRIDE
    addi    t2, t2, -1
    bnez    t2, 1b

    la      t0, root                        /* this program at its own address, and the three windows */
    li      t1, (0x80000000 >> 2) | V | R | W | X | AD
    sd      t1, 16(t0)
    la      t1, middle
    srli    t1, t1, 2
    ori     t1, t1, V
    sd      t1, 8(t0)
    la      t0, middle
    la      t1, leaves
    srli    t1, t1, 2
    ori     t1, t1, V
    sd      t1, 0(t0)
    li      a0, V | R | X | AD
    la      a1, leaves
    jal     window
    li      a0, V | R | W | AD
    la      a1, leaves + 64 * 8
    jal     window
    li      a0, V | R | W | X | AD
    la      a1, leaves + 128 * 8
    jal     window
    la      t0, root
    srli    t0, t0, 12
    li      t1, 8 << 60
    or      t0, t0, t1
    csrw    satp, t0
    sfence.vma
    fence.i
    la      t0, body
    csrw    mepc, t0
    li      t0, 3 << 11
    csrc    mstatus, t0
    li      t0, 1 << 11
    csrs    mstatus, t0
    mret

window:                                     /* map the pages at entries a1.. with flags a0 */
    la      t0, code
    srli    t0, t0, 2
    or      t0, t0, a0
    li      t1, PAGES
1:  sd      t0, (a1)
    addi    t0, t0, 1 << 10
    addi    a1, a1, 8
    addi    t1, t1, -1
    bnez    t1, 1b
    ret

body:
    ld      s0, seed
    ld      s1, rounds
    la      s2, expected
    li      s3, WINDOW_RX
    li      s4, WINDOW_RW
    li      s5, WINDOW_RWX
    li      s6, SLOTS
    li      s7, 0                           /* wrong */

    .macro  patch_fresh window, value
    add     t1, \window, s9
    addi    t2, s10, \value
    slli    t2, t2, 20
    ori     t2, t2, LI_A0
    sw      t2, (t1)
    .endm

    .macro  call_fresh window, value
    add     t1, \window, s9
    jalr    t1
    addi    t2, s10, \value
    sub     t2, t2, a0
    snez    t2, t2
    add     s7, s7, t2
    .endm

    li      s10, 0
fresh:                                      /* page s10: its first function, at s9 */
    slli    t0, s10, 12
    addi    t0, t0, STRIDE - 1
    li      t1, STRIDE
    divu    s8, t0, t1
    mul     s9, s8, t1
    slli    s8, s8, 1
    add     s8, s8, s2
    patch_fresh s4, 100
    patch_fresh s5, 200
    call_fresh s3, 200
    patch_fresh s4, 300
    call_fresh s3, 300
    patch_fresh s5, 400
    call_fresh s3, 400
    patch_fresh s4, 500
    call_fresh s5, 500
    patch_fresh s5, 600
    call_fresh s5, 600
    addi    t0, s10, 600
    sh      t0, (s8)
    addi    s10, s10, 1
    li      t0, PAGES
    blt     s10, t0, fresh

next:
    slli    t0, s0, 13                      /* xorshift64 */
    xor     s0, s0, t0
    srli    t0, s0, 7
    xor     s0, s0, t0
    slli    t0, s0, 17
    xor     s0, s0, t0

    srli    t0, s0, 32                      /* bits 63..32: the function */
    remu    s8, t0, s6
    li      t1, STRIDE
    mul     s9, s8, t1
    slli    s8, s8, 1
    add     s8, s8, s2                      /* its expected value */
    andi    t0, s0, 3
    beqz    t0, call
    andi    t0, s0, 4
    beqz    t0, call

    mv      t1, s4                          /* patch: bit 3 chooses the window, bits 5..4 how, bits 16..6 the value */
    andi    t0, s0, 8
    beqz    t0, 1f
    mv      t1, s5
1:  add     t1, t1, s9
    srli    t2, s0, 6
    andi    t2, t2, 0x7ff
    sh      t2, (s8)
    slli    t2, t2, 20
    ori     t2, t2, LI_A0
    andi    t0, s0, 0x30
    beqz    t0, by_half
    addi    t0, t0, -0x10
    beqz    t0, by_word
    addi    t0, t0, -0x10
    beqz    t0, by_double
    sb      t2, 0(t1)                       /* byte by byte */
    srli    t2, t2, 8
    sb      t2, 1(t1)
    srli    t2, t2, 8
    sb      t2, 2(t1)
    srli    t2, t2, 8
    sb      t2, 3(t1)
    j       done
by_half:
    srli    t2, t2, 16
    sh      t2, 2(t1)
    j       done
by_word:
    sw      t2, (t1)
    j       done
by_double:
    li      t3, RET
    slli    t3, t3, 32
    or      t2, t2, t3
    sd      t2, (t1)
    j       done

call:
    mv      t1, s3
    andi    t0, s0, 8
    beqz    t0, 1f
    mv      t1, s5
1:  add     t1, t1, s9
    jalr    t1
    lhu     t0, (s8)
    beq     t0, a0, done
    addi    s7, s7, 1
done:
    li      t0, 0x1ff0000                   /* one round in 512: sfence.vma */
    and     t0, t0, s0
    bnez    t0, 1f
    sfence.vma
1:  addi    s1, s1, -1
    bnez    s1, next
    sd      s7, wrong, t0
    ecall

trapped:                                    /* the ecall, or what must not happen */
    csrr    t0, mcause
    addi    t0, t0, -9
    snez    t0, t0
    ld      t1, wrong
    or      t0, t0, t1
    li      t1, 0x5555
    beqz    t0, 1f
    li      t1, 0x13333
1:  li      t0, FINISHER
    sw      t1, (t0)
2:  j       2b

    .bss
    .balign 4096
root:   .fill 4096, 1, 0
middle: .fill 4096, 1, 0
leaves: .fill 4096, 1, 0
code:   .fill PAGES * 4096, 1, 0
expected: .fill SLOTS * 2, 1, 0
