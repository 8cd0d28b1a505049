/* SPDX-License-Identifier: MIT */
/* What every hart sets up for itself before a lower mode may run on it. */
#include <stdbool.h>
#include <stddef.h>

#include "csr.h"
#include "hart.h"
#include "pmu.h"
#include "pmp.h"
#include "trap.h"

_Static_assert(offsetof(struct hart, stack_top) == HART_STACK_TOP, "hart.h");
_Static_assert(offsetof(struct hart, fatal_top) == HART_FATAL_TOP, "hart.h");
_Static_assert(offsetof(struct hart, saved_sp) == HART_SAVED_SP, "hart.h");
_Static_assert(offsetof(struct hart, saved_t0) == HART_SAVED_T0, "hart.h");
_Static_assert(sizeof(struct hart) == HART_STRUCT_SIZE, "hart.h");
_Static_assert(offsetof(struct trap_frame, mepc) == FRAME_MEPC, "trap.h");
_Static_assert(offsetof(struct trap_frame, mtval) == FRAME_MTVAL, "trap.h");
_Static_assert(sizeof(struct trap_frame) == FRAME_SIZE, "trap.h");

struct hart harts[MAX_HARTS];

__attribute__((section(".stacks"), aligned(16))) char hart_stacks[MAX_HARTS][HART_STACK_SIZE];
__attribute__((section(".stacks"), aligned(16))) static char fatal_stacks[MAX_HARTS][FATAL_STACK_SIZE];

static bool sstc;

void harts_init(void)
{
    for (unsigned i = 0; i < MAX_HARTS; i++) {
        harts[i].id = i;
        harts[i].stack_top = (uint64_t)hart_stacks[i + 1];
        harts[i].fatal_top = (uint64_t)fatal_stacks[i + 1];
    }
}

static void init_counters(void)
{
    pmu_probe();
    pmu_reset();
    csr_write(mcounteren, ~0UL);
    csr_write(scounteren, 7);           /* cycle, time and instret for U until the kernel decides */
}

/* Everything that M-mode may permit is permitted; a hart ignores the bits of what it does not have. */
static void init_environment(void)
{
    unsigned long menvcfg = MENVCFG_CBIE_INVAL | MENVCFG_CBCFE | MENVCFG_CBZE | MENVCFG_PBMTE | MENVCFG_STCE;

    if (csr_try_write(CSR_MENVCFG, menvcfg)) {
        /* QEMU 7.2 lets STCE be set on a hart without Sstc: only the register itself tells. */
        sstc = (csr_read(CSR_MENVCFG) & MENVCFG_STCE) && csr_try_write(CSR_STIMECMP, ~0UL);
        if (!sstc)
            csr_clear(CSR_MENVCFG, MENVCFG_STCE);
    }
    csr_try_write(CSR_MSTATEEN0, ~0UL);
}

/*
 * S-mode gets its own interrupts and the exceptions that only it can handle. Left here are those that the firmware
 * may emulate (illegal instructions, misaligned data), its own calls, and the access faults, which redirect.c hands on.
 */
static void init_delegation(void)
{
    csr_write(mideleg, MIP_SSIP | MIP_STIP | MIP_SEIP);
    csr_write(medeleg, 1UL << EXC_FETCH_MISALIGNED | 1UL << EXC_BREAKPOINT | 1UL << EXC_ECALL_U |
                           1UL << EXC_FETCH_PAGE | 1UL << EXC_LOAD_PAGE | 1UL << EXC_STORE_PAGE);
}

static void init_floating_point(void)
{
    unsigned long status = csr_read(mstatus) & ~(MSTATUS_FS | MSTATUS_VS);

    if (misa_has('f')) {
        csr_write(mstatus, status | MSTATUS_FS_INITIAL);
        csr_write(0x003, 0);            /* fcsr */
        status |= MSTATUS_FS_INITIAL;
    }
    if (misa_has('v'))
        status |= MSTATUS_VS_INITIAL;
    csr_write(mstatus, status);
}

void hart_init(void)
{
    csr_write(mtvec, (unsigned long)trap_vector);
    csr_write(mie, MIP_MSIP);
    csr_write(mip, 0);
    init_counters();
    init_environment();
    init_delegation();
    init_floating_point();
    pmp_init();
}

bool hart_has_sstc(void)
{
    return sstc;
}

_Noreturn void hart_mret(uint64_t a0, uint64_t a1);

_Noreturn void hart_enter(uint64_t pc, uint64_t arg, unsigned long mode)
{
    unsigned long status = csr_read(mstatus) & ~(MSTATUS_MPP | MSTATUS_MPV | MSTATUS_MPRV | MSTATUS_MPIE | MSTATUS_SIE);

    csr_write(satp, 0);
    csr_write(mstatus, status | mode << MSTATUS_MPP_SHIFT);
    csr_write(mepc, pc);
    __asm__ volatile("sfence.vma\n fence.i" : : : "memory");
    hart_mret(this_hart()->id, arg);
}
