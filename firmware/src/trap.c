/* SPDX-License-Identifier: MIT */
/* Which trap goes where. Only traps from S and U arrive here; those of the firmware itself go to panic.c. */
#include "csr.h"
#include "ipi.h"
#include "pmu.h"
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
        pmu_count(FW_ILLEGAL_INSN);
        illegal_handle(frame);
        return;
    case EXC_LOAD_MISALIGNED:
        pmu_count(FW_MISALIGNED_LOAD);
        misaligned_handle(frame);
        return;
    case EXC_STORE_MISALIGNED:
        pmu_count(FW_MISALIGNED_STORE);
        misaligned_handle(frame);
        return;
    case EXC_LOAD_ACCESS:
        pmu_count(FW_ACCESS_LOAD);
        break;
    case EXC_STORE_ACCESS:
        pmu_count(FW_ACCESS_STORE);
        break;
    }
    if (frame->mcause & MCAUSE_INTERRUPT)
        trap_panic(frame);              /* mie enables no other */

    trap_redirect(frame, (struct trap_info){ frame->mcause, frame->mtval });
}
