/* SPDX-License-Identifier: MIT */
/* The trap frame, and what the handlers of the different traps are called. */
#ifndef TRAP_H
#define TRAP_H

#define FRAME_MEPC 256
#define FRAME_MSTATUS 264
#define FRAME_MCAUSE 272
#define FRAME_MTVAL 280
#define FRAME_SIZE 288

#ifndef __ASSEMBLER__
#include <stdint.h>

enum { REG_RA = 1, REG_SP = 2, REG_A0 = 10, REG_A1, REG_A2, REG_A3, REG_A4, REG_A5, REG_A6, REG_A7 };

/* Everything of the interrupted program that the hart does not keep by itself. trap.S fills it and restores from it. */
struct trap_frame {
    uint64_t x[32];             /* x[0] is kept zero by whoever writes registers */
    uint64_t mepc;
    uint64_t mstatus;
    uint64_t mcause;
    uint64_t mtval;
};

void trap_vector(void);                                     /* trap.S */
void trap_handle(struct trap_frame *frame);                 /* trap.c, called by trap.S */
_Noreturn void trap_panic(const struct trap_frame *frame);  /* panic.c, likewise */

/* A trap as the supervisor will see it. */
struct trap_info {
    uint64_t cause;
    uint64_t tval;
};

/* Hand a trap to S-mode as if it had been delegated: redirect.c. */
void trap_redirect(struct trap_frame *frame, struct trap_info info);

void illegal_handle(struct trap_frame *frame);              /* illegal.c */
void misaligned_handle(struct trap_frame *frame);           /* misaligned.c */
void sbi_handle(struct trap_frame *frame);                  /* sbi.c */

static inline void frame_write(struct trap_frame *frame, unsigned reg, uint64_t value)
{
    if (reg != 0)
        frame->x[reg] = value;
}
#endif
#endif
