/* SPDX-License-Identifier: MIT */
/*
 * The state of one hart. mscratch holds the address of the hart's own `struct hart` at all times, and the firmware's
 * C code has it in tp, so that "which hart am I" is one register away.
 */
#ifndef HART_H
#define HART_H

#define MAX_HARTS 8             /* hart ids 0-7; a hart with a higher id sleeps for ever in entry.S */
#define HART_STACK_SIZE 3072
#define FATAL_STACK_SIZE 1024   /* for the one report that a hart prints when the firmware itself has trapped */

/* Offsets for assembly; hart.c checks them. */
#define HART_STACK_TOP 0
#define HART_FATAL_TOP 8
#define HART_SAVED_SP 16
#define HART_SAVED_T0 24
#define HART_STRUCT_SIZE 72

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stdint.h>

struct hart {
    uint64_t stack_top;
    uint64_t fatal_top;
    uint64_t saved_sp;          /* used by the first instructions of the trap vector only */
    uint64_t saved_t0;
    uint64_t id;
    uint32_t hsm_state;         /* enum hsm_state, changed atomically: sbi_hsm.c */
    uint64_t start_addr;        /* where and with what the hart enters S-mode next: sbi_hsm.c */
    uint64_t start_arg;
    uint32_t ipi_pending;       /* IPI_* bits from other harts: ipi.c */
    uint32_t fence_from;        /* bit n: hart n's fence request awaits this hart: sbi_rfence.c */
};

extern struct hart harts[MAX_HARTS];

static inline struct hart *this_hart(void)
{
    struct hart *hart;
    __asm__("mv %0, tp" : "=r"(hart));
    return hart;
}

/* Fill in `harts`; called once, by the boot hart. */
void harts_init(void);

/* Bring this hart's M-mode CSRs into the state in which S-mode may run: delegation, counters, PMP, vector. */
void hart_init(void);

/* Leave for `mode` at `pc` with a0 = hart id and a1 = arg; all other registers are zero. */
_Noreturn void hart_enter(uint64_t pc, uint64_t arg, unsigned long mode);

/* What hart_init could switch on here. */
bool hart_has_sstc(void);
#endif
#endif
