/* SPDX-License-Identifier: MIT */
/* Threads of one process, and its end while they run. */
#include "cases.h"

#define THREADS 6
static volatile long lock_word, guarded;

static void lock(void)
{
    while (__atomic_exchange_n((volatile int *)&lock_word, 2, __ATOMIC_ACQUIRE))
        futex((void *)&lock_word, 0, 2, 0);
}
static void unlock(void)
{
    __atomic_store_n((volatile int *)&lock_word, 0, __ATOMIC_RELEASE);
    futex((void *)&lock_word, 1, 1, 0);
}
static void adds(struct thread *thread)
{
    for (int i = 0; i < 300; i++) {
        __atomic_add_fetch(&counter, thread->number, __ATOMIC_RELAXED);
        lock();
        long was = guarded;
        if (i % 50 == 0)
            sched_yield();
        guarded = was + 1;
        unlock();
    }
}
void threads(void)
{
    struct thread all[THREADS];

    for (int i = 0; i < THREADS; i++)
        begin(&all[i], i, adds);
    for (int i = 0; i < THREADS; i++)
        join(&all[i]);
    CHECK(counter == 300 * THREADS * (THREADS - 1) / 2);
    CHECK(guarded == 300 * THREADS);
}

void exit_with_threads(void)
{
    for (int round = 0; round < 3; round++) {
        int child = fork();
        if (child == 0) {
            three_spin();
            exit(7);
        }
        CHECK(status_of(child) == 7 << 8);
    }
}
static void thread_ends_all(struct thread *thread)
{
    (void)thread;
    exit(9);
}
void exit_by_thread(void)
{
    int child = fork();

    if (child == 0) {
        struct thread thread;
        three_spin();
        begin(&thread, 0, thread_ends_all);
        for (;;)
            ;
    }
    CHECK(status_of(child) == 9 << 8);
}
static char *self[] = { "/program", "hello", 0 };
static void execs(struct thread *thread)
{
    (void)thread;
    execve("/program", self, 0);
    exit(99);
}
void exec_with_threads(void)
{
    int child = fork();

    if (child == 0) {
        three_spin();
        execve("/program", self, 0);
        exit(99);
    }
    CHECK(status_of(child) == 33 << 8);
    child = fork();
    if (child == 0) {
        struct thread thread;
        three_spin();
        begin(&thread, 0, execs);
        for (;;)
            ;
    }
    CHECK(status_of(child) == 33 << 8);
}
void hello(void)
{
    CHECK(gettid() == getpid());
    exit(33);
}
static void faults(struct thread *thread)
{
    (void)thread;
    asm volatile("sd zero, 8(zero)");
}
static void waits_to_end(struct thread *thread)
{
    (void)thread;
    while (!ready)
        futex((void *)&ready, 0, 0, 0);
}
/* A thread ends whose end is written to a page that a child has, too: for that there must be memory. */
void thread_ends(void)
{
    struct thread *thread = pages(1, MAP_PRIVATE);
    int child;

    begin(thread, 0, waits_to_end);
    child = fork();
    if (child == 0) {
        pause_ms(20);
        exit(0);
    }
    ready = 1;
    futex((void *)&ready, 1, 1, 0);
    join(thread);
    if (child > 0)
        wait4(child, 0, 0);
}
void fault_in_thread(void)
{
    int child = fork();

    if (child == 0) {
        struct thread thread;
        three_spin();
        begin(&thread, 0, faults);
        for (;;)
            ;
    }
    CHECK((status_of(child) & 0x7f) == SIGSEGV);
}
