/* SPDX-License-Identifier: MIT */
/* Traps of an S-mode image: each hart calls trap_install(); trap.S calls the image's own trap(). */
#ifndef TRAP_H
#define TRAP_H

#include <stdbool.h>
#include <stdint.h>

/* The registers a C function may change, and where to go on. The image may change sepc to skip an instruction. */
struct trap_frame {
    uint64_t ra, t0, t1, t2, a0, a1, a2, a3, a4, a5, a6, a7, t3, t4, t5, t6;
    uint64_t sepc, sstatus;
};

void trap_install(void);

/* The image's handler. scause and stval are still in their CSRs. */
void trap(struct trap_frame *frame, uint64_t scause, uint64_t stval);

/* For traps that the image does not expect: say which, and exit with 1. */
_Noreturn void trap_unexpected(const struct trap_frame *frame, uint64_t scause, uint64_t stval);
#endif
