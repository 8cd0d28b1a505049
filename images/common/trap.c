/* SPDX-License-Identifier: MIT */
#include "trap.h"

#include "print.h"
#include "sbi.h"

_Noreturn void trap_unexpected(const struct trap_frame *frame, uint64_t scause, uint64_t stval)
{
    print("unexpected trap: scause %lx, stval %lx, sepc %lx\n", scause, stval, frame->sepc);
    exit(1);
}

/* For images that do not define one. */
__attribute__((weak)) void trap(struct trap_frame *frame, uint64_t scause, uint64_t stval)
{
    trap_unexpected(frame, scause, stval);
}
