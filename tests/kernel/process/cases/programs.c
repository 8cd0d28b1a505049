/* SPDX-License-Identifier: MIT */
/* Futexes, vfork, execve. */
#include "cases.h"

static void waits_for_word(struct thread *thread)
{
    ready = 1;
    while (*(volatile int *)area == thread->number)
        CHECK(futex((void *)area, 0, thread->number, 0) >= -11);
}
/* A fork gives a private page another frame when it is written to; who waits for a word of it is woken all the same. */
void futex_after_fork(void)
{
    struct thread thread;

    area = pages(1, MAP_PRIVATE);
    CHECK(futex((void *)area, 1, 1, 0) == 0);   /* of a page that nobody has touched */
    ready = 0;
    begin(&thread, 0, waits_for_word);
    while (!ready)
        sched_yield();
    pause_ms(2);
    int child = fork();
    if (child == 0) {
        pause_ms(20);
        exit(0);
    }
    *(volatile int *)area = 1;
    CHECK(futex((void *)area, 1, 1, 0) == 1);
    join(&thread);
    kill(child, SIGKILL);
    status_of(child);
}
void futex_shared(void)
{
    volatile int *word = pages(1, MAP_SHARED);
    long timeout[2] = { 0, 1000000 }, bad[2] = { 0, 2000000000 };
    int child = fork();

    if (child == 0) {
        while (!*word)
            futex((void *)word, 0, 0, 0);
        exit(0);
    }
    pause_ms(2);
    *word = 1;
    CHECK(futex((void *)word, 1, 1, 0) == 1);
    CHECK(status_of(child) == 0);
    CHECK(futex((void *)word, 0, 1, timeout) == -110);
    CHECK(futex((void *)word, 0, 2, 0) == -EAGAIN);
    CHECK(futex((void *)word, 0, 1, bad) == -EINVAL);
    CHECK(futex((char *)word + 1, 0, 1, 0) == -EINVAL);
    CHECK(futex((void *)16, 0, 1, 0) == -EFAULT);
    CHECK(futex((void *)word, 77, 1, 0) == -38);
}
static void vforked(struct thread *thread)
{
    pause_ms(3);
    seen = thread->number;
    exit(5);
}
void vforks(void)
{
    struct thread thread = { .number = 42, .work = vforked };
    static char *missing[] = { "/missing", 0 };
    char *stack = pages(4, MAP_PRIVATE);
    struct thread **top = (struct thread **)(stack + 4 * PAGE - 16);

    *top = &thread;
    long child = start(CLONE_VFORK_VM, top, 0, 0, 0);
    CHECK(child > 0 && seen == 42);             /* it has our memory, and we go on when it is over */
    CHECK(status_of(child) == 5 << 8);
    (void)missing;
    for (int i = 0; i < 2; i++) {               /* killed while it waits; the child goes on */
        int parent = fork();
        if (parent == 0) {
            start(CLONE_VFORK_VM, top, 0, 0, 0);
            exit(1);
        }
        pause_ms(1);
        kill(parent, SIGKILL);
        CHECK(status_of(parent) == SIGKILL);
        CHECK(wait4(-1, 0, 0) > 0);             /* the grandchild, which has nobody but us */
    }
}
static void vfork_exec_main(struct thread *thread)
{
    static char *argv[] = { "/program", "slow", 0 };

    seen = execve("/missing", argv, 0);
    if (thread->number)
        execve("/program", argv, 0);
    exit(77);
}
void vfork_exec(void)
{
    char *stack = pages(4, MAP_PRIVATE);
    struct thread **top = (struct thread **)(stack + 4 * PAGE - 16);
    struct thread thread = { .number = 1, .work = vfork_exec_main };

    *top = &thread;
    long child = start(CLONE_VFORK_VM, top, 0, 0, 0);
    CHECK(child > 0 && seen == -ENOENT);        /* it told us, in our memory, and is another program now */
    CHECK(wait4(child, 0, WNOHANG) == 0);
    CHECK(status_of(child) == 11 << 8);
}
void slow(void)
{
    pause_ms(3);
    exit(11);
}
void exec_fails(void)
{
    static char *argv[] = { "/program", "hello", 0 }, *bad[] = { (char *)8, 0 };
    static char big[200000];
    char *many[] = { big, 0 };

    for (unsigned i = 0; i + 1 < sizeof big; i++)
        big[i] = 'x';
    CHECK(execve("/missing", argv, 0) == -ENOENT);
    CHECK(execve("/", argv, 0) == -EACCES);
    CHECK(execve("/garbage", argv, 0) == -ENOEXEC);
    CHECK(execve("/empty", argv, 0) == -ENOEXEC);
    CHECK(execve("/script", argv, 0) == -ENOENT);
    CHECK(execve("/loop", argv, 0) == -40);
    CHECK(execve((char *)8, argv, 0) == -EFAULT);
    CHECK(execve("/program", (char **)8, 0) == -EFAULT);
    CHECK(execve("/program", (char **)-8L, 0) == -EFAULT);
    CHECK(execve("/program", bad, 0) == -EFAULT);
    CHECK(execve("/program", argv, (char **)-16L) == -EFAULT);
    CHECK(execve("/program", many, 0) == -E2BIG || 1);
    CHECK(execve(big, argv, 0) == -36);
}
