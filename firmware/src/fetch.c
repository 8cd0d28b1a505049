/* SPDX-License-Identifier: MIT */
/* Reading the trapped instruction, when mtval does not have it. */
#include "unpriv.h"

bool unpriv_fetch(const struct trap_frame *frame, uint32_t *insn, struct trap_info *fault)
{
    uint64_t mstatus = as_trapped(frame) | MSTATUS_MXR;     /* execute-only pages are readable here */
    uint32_t word = 0;

    for (unsigned i = 0; i < 4; i++) {
        if (i == 2 && (word & 3) != 3)
            break;                                          /* compressed: the next two bytes may not even exist */
        word |= (uint32_t)unpriv_load8(frame->mepc + i, mstatus, fault) << (8 * i);
        if (faulted(fault)) {
            fault->cause = fault->cause == EXC_LOAD_PAGE ? EXC_FETCH_PAGE : EXC_FETCH_ACCESS;
            return false;
        }
    }
    *insn = word;
    return true;
}
