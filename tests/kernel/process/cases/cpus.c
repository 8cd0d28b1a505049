/* SPDX-License-Identifier: MIT */
/* What several CPUs do with one address space, and with each other's tasks. */
#include "cases.h"

#define SHARED_PAGES 8
static volatile int stop_now;

static void writes(struct thread *thread)
{
    __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
    while (!stop_now)
        for (int page = 0; page < SHARED_PAGES; page++)
            area[page * 512 + thread->number]++;
}
/* Two threads write to the same pages while a third forks: each child's copy stands still, no write is lost. */
void fork_while_threads_write(void)
{
    struct thread all[2];

    area = pages(SHARED_PAGES, MAP_PRIVATE);
    stop_now = ready = 0;
    for (int i = 0; i < 2; i++)
        begin(&all[i], i, writes);
    while (ready < 2)
        ;
    for (int round = 0; round < 6; round++) {
        int child = fork();
        if (child == 0) {
            long sum = 0, again = 0;
            for (int i = 0; i < SHARED_PAGES * 512; i++)
                sum += area[i];
            pause_ms(2);
            for (int i = 0; i < SHARED_PAGES * 512; i++)
                again += area[i];
            exit(sum == again && sum ? 0 : 1);
        }
        CHECK(status_of(child) == 0);
    }
    stop_now = 1;
    for (int i = 0; i < 2; i++)
        join(&all[i]);
    for (int i = 0; i < 2; i++)                 /* each thread has written to all its words equally often */
        for (int page = 1; page < SHARED_PAGES; page++)
            CHECK(area[page * 512 + i] == area[i]);
}

static void reads_until_fault(struct thread *thread)
{
    (void)thread;
    ready = 1;
    for (;;)
        counter = area[0];
}
static void writes_until_fault(struct thread *thread)
{
    (void)thread;
    ready = 1;
    for (;;)
        area[0]++;
}
/* What one CPU takes away, another does not have any more when the call returns. */
static void taken_away(int what)
{
    int child = fork();

    if (child == 0) {
        struct thread thread;
        area = pages(1, MAP_PRIVATE);
        ready = 0;
        begin(&thread, 0, what == 2 ? writes_until_fault : reads_until_fault);
        while (!ready)
            ;
        pause_ms(1);
        CHECK((what == 0 ? munmap((void *)area, PAGE)
                         : mprotect((void *)area, PAGE, what == 1 ? PROT_NONE : PROT_READ)) == 0);
        if (what == 2) {
            long before = area[0];
            for (int i = 0; i < 100000; i++)
                if (area[0] != before)
                    exit(1);
        }
        for (;;)
            ;
    }
    CHECK((status_of(child) & 0x7f) == SIGSEGV);
}
void taken_by_munmap(void) { taken_away(0); }
void taken_by_none(void) { taken_away(1); }
void taken_by_read(void) { taken_away(2); }

void kill_spinning(void)
{
    int children[4];

    for (int i = 0; i < 4; i++)
        if ((children[i] = fork()) == 0)
            for (;;)
                ;
    pause_ms(3);
    for (int i = 0; i < 4; i++) {
        CHECK(kill(children[i], SIGKILL) == 0);
        CHECK(status_of(children[i]) == SIGKILL);
        CHECK(kill(children[i], 0) == -ESRCH);
    }
}


void signal_spinning(void)
{
    volatile int *shared = pages(1, MAP_SHARED);
    int child = fork();

    if (child == 0) {
        sigaction(SIGUSR1, handler, 0);
        shared[0] = 1;
        while (!handled)
            ;
        exit(handled);
    }
    while (!shared[0])
        ;
    CHECK(kill(child, SIGUSR1) == 0);
    CHECK(status_of(child) == SIGUSR1 << 8);
}
/* While others compute, somebody sleeps, and wakes in time. */
void sleeper(void)
{
    int children[4];

    for (int i = 0; i < 4; i++)
        if ((children[i] = fork()) == 0)
            for (;;)
                ;
    for (int i = 0; i < 3; i++)
        pause_ms(2);
    for (int i = 0; i < 4; i++) {
        kill(children[i], SIGKILL);
        status_of(children[i]);
    }
}
/* While one other computes, and nobody wants its CPU, somebody sleeps, and wakes in time. */
void sleep_beside(void)
{
    int child = fork();

    if (child == 0)
        for (;;)
            ;
    for (int i = 0; i < 3; i++)
        pause_ms(2);
    kill(child, SIGKILL);
    status_of(child);
    pause_ms(500);                              /* nobody computes: nothing keeps a CPU awake */
}
/* The first process ends, and with it all others, whatever they do. */
void leave_children(void)
{
    int ends[2];

    CHECK(pipe(ends) == 0);
    for (int i = 0; i < 4; i++)
        if (fork() == 0) {
            char c;
            if (i % 2)
                read(ends[0], &c, 1);
            for (;;)
                ;
        }
    pause_ms(3);
}
