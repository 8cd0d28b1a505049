/* SPDX-License-Identifier: MIT */
/* The end: a trap that the firmware did not expect. Print what is known and stop the machine, with the finisher's FAIL. */
#include "console.h"
#include "csr.h"
#include "hart.h"
#include "platform.h"
#include "trap.h"

static const char *cause_name(uint64_t cause)
{
    static const char *const names[16] = {
        [EXC_FETCH_MISALIGNED] = "misaligned fetch", [EXC_FETCH_ACCESS] = "fetch access fault",
        [EXC_ILLEGAL] = "illegal instruction",       [EXC_BREAKPOINT] = "breakpoint",
        [EXC_LOAD_MISALIGNED] = "misaligned load",   [EXC_LOAD_ACCESS] = "load access fault",
        [EXC_STORE_MISALIGNED] = "misaligned store", [EXC_STORE_ACCESS] = "store access fault",
        [EXC_ECALL_U] = "ecall from U",              [EXC_ECALL_S] = "ecall from S",
        [EXC_ECALL_M] = "ecall from M",              [EXC_FETCH_PAGE] = "fetch page fault",
        [EXC_LOAD_PAGE] = "load page fault",         [EXC_STORE_PAGE] = "store page fault",
    };
    if (cause & MCAUSE_INTERRUPT)
        return "interrupt";
    return cause < 16 && names[cause] ? names[cause] : "unknown";
}

_Noreturn void trap_panic(const struct trap_frame *frame)
{
    static const char names[32][4] = {
        "",   "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0",  "a1",  "a2", "a3", "a4", "a5",
        "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
    };

    console_break_lock();               /* whoever holds it may be this hart */
    printk("\nHartwell SBI: unexpected trap in M-mode on hart %lu: %s\n", this_hart()->id, cause_name(frame->mcause));
    printk("  mcause  %016lx  mtval   %016lx\n", frame->mcause, frame->mtval);
    printk("  mepc    %016lx  mstatus %016lx\n", frame->mepc, frame->mstatus);
    for (unsigned i = 1; i < 32; i++)
        printk("  %-7s %016lx%s", names[i], frame->x[i], i % 2 == 0 || i == 31 ? "\n" : "");
    platform_stop(STOP_FAIL);
}
