/* SPDX-License-Identifier: MIT */
/* Which trap goes where. Only traps from S and U arrive here; those of the firmware itself go to panic.c. */
#include "csr.h"
#include "ipi.h"
#include "sbi.h"
#include "trap.h"

void trap_handle(struct trap_frame *frame)
{
    switch (frame->mcause) {
    case MCAUSE_INTERRUPT | IRQ_M_TIMER:
        time_expired();
        return;
    case MCAUSE_INTERRUPT | IRQ_M_SOFT:
        ipi_receive();
        return;
    case EXC_ECALL_S:
        sbi_handle(frame);
        return;
    case EXC_ILLEGAL:
        illegal_handle(frame);
        return;
    case EXC_LOAD_MISALIGNED:
    case EXC_STORE_MISALIGNED:
        misaligned_handle(frame);
        return;
    }
    if (frame->mcause & MCAUSE_INTERRUPT)
        trap_panic(frame);              /* mie enables no other */

    trap_redirect(frame, (struct trap_info){ frame->mcause, frame->mtval });
}
