/* SPDX-License-Identifier: MIT */
/* Memory accesses that may fault, with M-mode's rights or with those of the program that trapped: unpriv.S. */
#ifndef UNPRIV_H
#define UNPRIV_H

#define NO_FAULT -1

#ifndef __ASSEMBLER__
#include "csr.h"
#include "trap.h"

uint64_t unpriv_load8(uint64_t addr, uint64_t mstatus, struct trap_info *fault);
uint64_t unpriv_load64(uint64_t addr, uint64_t mstatus, struct trap_info *fault);
void unpriv_store8(uint64_t addr, uint64_t value, uint64_t mstatus, struct trap_info *fault);

static inline bool faulted(const struct trap_info *fault)
{
    return fault->cause != (uint64_t)NO_FAULT;
}

/* The mstatus with which an access is made in place of the trapped program. */
static inline uint64_t as_trapped(const struct trap_frame *frame)
{
    return frame->mstatus | MSTATUS_MPRV;
}

/*
 * The instruction at frame->mepc, 2 or 4 bytes. If it cannot be read (another hart may have unmapped it since it
 * trapped) the result is false and `fault` is the fetch fault that the program would have got.
 */
bool unpriv_fetch(const struct trap_frame *frame, uint32_t *insn, struct trap_info *fault);
#endif
#endif
