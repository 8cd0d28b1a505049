/* SPDX-License-Identifier: MIT */
/* Floating-point registers: each task's own. */
#include "cases.h"

static double fp_sum(void)
{
    register double kept asm("fs1") = 1.0;
    register double scratch asm("ft3") = 2.0;

    asm volatile("" : "+f"(kept), "+f"(scratch));
    handled = 0;
    SYS(129, getpid(), SIGUSR1);
    asm volatile("" : "+f"(kept), "+f"(scratch));
    return kept + scratch;
}
static void fp_handler(int signal)
{
    asm volatile("fcvt.d.l fs1, %0\n fcvt.d.l ft3, %0" : : "r"(1000L) : "fs1", "ft3");
    asm volatile("csrwi fcsr, 1");
    handled = signal;
}
void fp_in_handler(void)
{
    long fcsr;

    sigaction(SIGUSR1, fp_handler, 0);
    CHECK(fp_sum() == 3.0 && handled == SIGUSR1);
    asm volatile("csrr %0, fcsr" : "=r"(fcsr));
    CHECK(fcsr == 0);
}
/* A program finds 0 in its floating-point registers, not what another one has left there. */
void fp_zero(void)
{
    long bits = 0, each;

#define LOOK(n) asm volatile("fmv.x.d %0, f" #n : "=r"(each)); bits |= each;
    LOOK(0) LOOK(1) LOOK(7) LOOK(8) LOOK(9) LOOK(18) LOOK(27) LOOK(31)
    exit(bits == 0 ? 0 : 1);
}
void fp_secret(void)
{
    static char *other[] = { "/program", "fp_zero", 0 };
    int child;

    asm volatile("fmv.d.x f1, %0\n fmv.d.x f8, %0\n fmv.d.x f18, %0\n fmv.d.x f31, %0" : : "r"(0x5ec4e7L));
    child = fork();
    if (child == 0) {
        execve("/program", other, 0);
        exit(99);
    }
    CHECK(status_of(child) == 0);
}
/* A child has its parent's floating-point registers; each has its own from then on. */
void fp_fork(void)
{
    register double mine asm("fs2") = 5.0;
    int child;

    asm volatile("" : "+f"(mine));
    child = fork();
    asm volatile("" : "+f"(mine));
    if (child == 0) {
        asm volatile("fadd.d %0, %0, %0" : "+f"(mine));
        sched_yield();
        asm volatile("" : "+f"(mine));
        exit(mine == 10.0 ? 0 : 1);
    }
    CHECK(status_of(child) == 0);
    asm volatile("" : "+f"(mine));
    CHECK(mine == 5.0);
}
