/* SPDX-License-Identifier: MIT */
/* Frames of signal handlers, ours and forged ones. */
#include "cases.h"

static unsigned long frame[160];
/* rt_sigreturn with a frame of our own making: siginfo 128 bytes, ucontext 176, then pc, x1 ... */
static void forged(long pc)
{
    for (unsigned i = 0; i < sizeof frame / 8; i++)
        frame[i] = -1UL;
    frame[(128 + 176) / 8] = pc;
    asm volatile("mv sp, %0\n li a7, 139\n ecall" : : "r"(frame) : "memory");
}
static void at_sp(long sp)
{
    asm volatile("mv sp, %0\n li a7, 139\n ecall\n li a0, 97\n li a7, 94\n ecall" : : "r"(sp) : "memory");
}
void sigreturn(void)
{
    long stacks[] = { 0, 8, -8, 0x10000, 0x7ffffffff000, 0x7ffffffff000 - 64, 1L << 63, -4096 };
    long targets[] = { 0, 1, -1, 1L << 63, -(1L << 31) + 0x200000, 0x800000000000, 0x7fffffffffff };

    for (unsigned i = 0; i < sizeof stacks / sizeof *stacks; i++)
        in_child(at_sp, stacks[i], SIGSEGV);
    for (unsigned i = 0; i < sizeof targets / sizeof *targets; i++)
        in_child(forged, targets[i], SIGSEGV);
}
static void no_stack(long sp)
{
    sigaction(SIGUSR1, handler, 0);
    asm volatile("li a7, 172\n ecall\n li a1, 10\n li a7, 129\n mv sp, %0\n ecall\n li a0, 96\n li a7, 94\n ecall"
                 : : "r"(sp) : "memory");
}
void handler_stack(void)
{
    long stacks[] = { 0, 16, -16, 0x10000, 1L << 63, 0x800000001000 };

    for (unsigned i = 0; i < sizeof stacks / sizeof *stacks; i++)
        in_child(no_stack, stacks[i], SIGSEGV);
}
static char alternate[8192];
static void on_segv(int signal)
{
    char here;

    exit(signal == SIGSEGV && &here >= alternate && &here < alternate + sizeof alternate ? 0 : 1);
}
void alt_stack(void)
{
    struct { void *at; int flags; size_t size; } stack = { alternate, 0, sizeof alternate };
    int child = fork();

    if (child == 0) {
        CHECK(SYS(132, &stack, 0) == 0);
        sigaction(SIGSEGV, on_segv, SA_ONSTACK);
        asm volatile("li sp, 64\n sd zero, (sp)");
    }
    CHECK(status_of(child) == 0);
    stack.size = -1UL;
    child = fork();
    if (child == 0) {
        SYS(132, &stack, 0);
        sigaction(SIGUSR1, on_segv, SA_ONSTACK);
        kill(getpid(), SIGUSR1);
    }
    CHECK(status_of(child) == 1 << 8);          /* all of memory is that stack: the handler runs where we were */
}
