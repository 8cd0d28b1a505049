/* SPDX-License-Identifier: MIT */
/*
 * Handing a trap on to S-mode. The supervisor must see exactly what it would have seen if the hardware had delegated the
 * trap (privileged specification, "Supervisor Trap Handling"): sepc, scause, stval; SPP and SPIE stacked, SIE off; and the
 * next instruction is at stvec's base, for exceptions are not vectored.
 */
#include "csr.h"
#include "trap.h"

void trap_redirect(struct trap_frame *frame, struct trap_info info)
{
    uint64_t status = frame->mstatus;

    csr_write(sepc, frame->mepc);
    csr_write(scause, info.cause);
    csr_write(stval, info.tval);

    bool from_s = (status & MSTATUS_MPP) >> MSTATUS_MPP_SHIFT == PRV_S;
    bool sie = status & MSTATUS_SIE;
    status &= ~(MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE | MSTATUS_MPP | MSTATUS_MPV);
    status |= (from_s ? MSTATUS_SPP : 0) | (sie ? MSTATUS_SPIE : 0) | (uint64_t)PRV_S << MSTATUS_MPP_SHIFT;

    frame->mstatus = status;
    frame->mepc = csr_read(stvec) & ~3UL;
}
