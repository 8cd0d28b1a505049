/* SPDX-License-Identifier: MIT */
/*
 * Illegal instructions. Harts may leave the user counters to the firmware (unprivileged specification, "Zicntr"), in
 * which case reading one traps to here. Everything else is the supervisor's.
 */
#include "csr.h"
#include "hart.h"
#include "platform.h"
#include "trap.h"
#include "unpriv.h"

#define OPCODE_SYSTEM 0x73

/*
 * The counter that `insn` reads, or -1. These CSRs are read-only, so of the six CSR instructions only those qualify that
 * do not write: CSRRS, CSRRC, CSRRSI and CSRRCI with a zero register or immediate.
 */
static int counter_read(uint32_t insn)
{
    unsigned csr = insn >> 20, source = insn >> 15 & 31, operation = insn >> 12 & 3;

    if ((insn & 0x7f) != OPCODE_SYSTEM || operation < 2 || source != 0)
        return -1;
    return csr >= CSR_CYCLE && csr <= CSR_INSTRET ? (int)(csr - CSR_CYCLE) : -1;
}

void illegal_handle(struct trap_frame *frame)
{
    struct trap_info trap = { EXC_ILLEGAL, frame->mtval }, fault;
    uint32_t insn = (uint32_t)frame->mtval;

    if (insn == 0 && !unpriv_fetch(frame, &insn, &fault)) {     /* mtval may hold the instruction, or zero */
        trap_redirect(frame, fault);
        return;
    }
    int counter = counter_read(insn);
    bool from_user = (frame->mstatus & MSTATUS_MPP) == PRV_U;
    if (counter < 0 || (from_user && !(csr_read(scounteren) >> counter & 1))) {
        trap_redirect(frame, trap);
        return;
    }

    uint64_t value = counter == CSR_TIME - CSR_CYCLE ? platform_time()
                     : counter == 0                  ? csr_read(mcycle)
                                                     : csr_read(minstret);
    frame_write(frame, insn >> 7 & 31, value);
    frame->mepc += 4;
}
