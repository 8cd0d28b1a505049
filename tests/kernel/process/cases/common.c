/* SPDX-License-Identifier: MIT */
/* What the cases have in common, and `cases NAME`, which does one of them and exits with 0 if all was as it should be. */
#include "cases.h"

volatile long counter;
volatile long *area;
volatile int ready, handled, seen;
char much[MUCH];

__attribute__((used)) static void thread_main(struct thread *thread)
{
    thread->work(thread);
    SYS(93, 0);
}

asm(".globl start\nstart: li a7, 220\n ecall\n bnez a0, 1f\n ld a0, 0(sp)\n call thread_main\n1: ret");

void begin(struct thread *thread, int number, void (*work)(struct thread *))
{
    char *stack = pages(4, MAP_PRIVATE);
    struct thread **top = (struct thread **)(stack + 4 * PAGE - 16);

    *top = thread;
    thread->number = number;
    thread->work = work;
    thread->tid = -1;
    CHECK(start(CLONE_THREADS, top, &thread->tid, 0, &thread->tid) > 0);
}

void join(struct thread *thread)
{
    int tid;

    while ((tid = thread->tid) != 0)
        futex((void *)&thread->tid, 0, tid, 0);
}

static void spins(struct thread *thread)
{
    for (;;)
        __atomic_add_fetch(&counter, thread->number + 1, __ATOMIC_RELAXED);
}
void three_spin(void)
{
    static struct thread all[3];

    for (int i = 0; i < 3; i++)
        begin(&all[i], i, spins);
    while (counter < 1000)
        ;
}
void handler(int signal)
{
    handled = signal;
}

void in_child(void (*work)(long), long argument, int signal)
{
    int child = fork();

    if (child == 0) {
        work(argument);
        exit(98);
    }
    int status = status_of(child);
    if ((status & 0x7f) != signal)
        print("argument %lx: status %x, expected signal %d\n", argument, status, signal);
    CHECK((status & 0x7f) == signal);
}

#define CASE(name) { #name, name }
static const struct { const char *name; void (*work)(void); } CASES[] = {
    CASE(threads), CASE(exit_with_threads), CASE(exit_by_thread), CASE(exec_with_threads), CASE(hello),
    CASE(fault_in_thread), CASE(fork_while_threads_write), CASE(taken_by_munmap), CASE(taken_by_none), CASE(taken_by_read), CASE(kill_spinning), CASE(signal_spinning),
    CASE(sleeper), CASE(leave_children), CASE(sleep_beside), CASE(thread_ends), CASE(fp_in_handler), CASE(fp_zero), CASE(fp_secret), CASE(fp_fork),
    CASE(sigreturn), CASE(handler_stack), CASE(alt_stack), CASE(restart), CASE(partial_write), CASE(no_reader),
    CASE(sigkill), CASE(ignored_by_exec), CASE(ignores), CASE(children_ignored), CASE(waits), CASE(futex_after_fork),
    CASE(futex_shared), CASE(vforks), CASE(vfork_exec), CASE(slow), CASE(exec_fails), CASE(limits), CASE(rights),
    CASE(shared_is_given_back), CASE(shared_file), CASE(out_of_memory), CASE(everything), CASE(sleep_left), CASE(fork_signals),
    CASE(vfork_signal), CASE(many_areas),
};

static int same(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

int main(int argc, char **argv)
{
    for (unsigned i = 0; argc > 1 && i < sizeof CASES / sizeof *CASES; i++)
        if (same(argv[1], CASES[i].name)) {
            CASES[i].work();
            return 0;
        }
    print("no such case\n");
    return 2;
}
