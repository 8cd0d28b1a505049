/* SPDX-License-Identifier: MIT */
/*
 * The M-mode trap vector, and the way down to a lower mode.
 *
 * From S or U the frame goes to the top of the hart's stack, which is empty whenever a lower mode runs. The firmware
 * itself runs with interrupts off and takes no trap that it does not expect (unpriv.S has its own vector for those), so
 * a trap from M is a bug: it is reported from a separate stack, for sp may be what is broken.
 */
#include "csr.h"
#include "hart.h"
#include "trap.h"

    .text
    .balign 4
    .globl trap_vector
trap_vector:
    csrrw   tp, mscratch, tp        /* tp = struct hart, mscratch = the interrupted tp */
    sd      sp, HART_SAVED_SP(tp)
    sd      t0, HART_SAVED_T0(tp)
    csrr    t0, mstatus
    srli    t0, t0, MSTATUS_MPP_SHIFT
    andi    t0, t0, PRV_M
    addi    t0, t0, -PRV_M
    beqz    t0, from_firmware
    ld      sp, HART_STACK_TOP(tp)
    j       save
from_firmware:
    ld      sp, HART_FATAL_TOP(tp)

save:
    addi    sp, sp, -FRAME_SIZE
    sd      zero, 0*8(sp)
    sd      ra, 1*8(sp)
    ld      t0, HART_SAVED_SP(tp)
    sd      t0, 2*8(sp)
    sd      gp, 3*8(sp)
    csrrw   t0, mscratch, tp        /* mscratch is the hart again */
    sd      t0, 4*8(sp)
    ld      t0, HART_SAVED_T0(tp)
    sd      t0, 5*8(sp)
    .irp    n, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    sd      x\n, \n*8(sp)
    .endr
    csrr    t0, mepc
    sd      t0, FRAME_MEPC(sp)
    csrr    t1, mstatus
    sd      t1, FRAME_MSTATUS(sp)
    csrr    t0, mcause
    sd      t0, FRAME_MCAUSE(sp)
    csrr    t0, mtval
    sd      t0, FRAME_MTVAL(sp)

    mv      a0, sp
    srli    t1, t1, MSTATUS_MPP_SHIFT
    andi    t1, t1, PRV_M
    addi    t1, t1, -PRV_M
    bnez    t1, 1f
    call    trap_panic
1:  call    trap_handle

    ld      t0, FRAME_MEPC(sp)
    csrw    mepc, t0
    ld      t0, FRAME_MSTATUS(sp)
    csrw    mstatus, t0
    .irp    n, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    ld      x\n, \n*8(sp)
    .endr
    ld      sp, 2*8(sp)
    mret

/* _Noreturn void hart_mret(uint64_t a0, uint64_t a1): mepc and mstatus are set; no other register leaks downwards. */
    .globl hart_mret
hart_mret:
    .irp    n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    li      x\n, 0
    .endr
    mret
