/* SPDX-License-Identifier: MIT */
/* Signals: what they interrupt, whom they kill, who waits for whom. */
#include "cases.h"

void restart(void)
{
    int ends[2];
    char c;

    for (int again = 0; again < 2; again++) {
        CHECK(pipe(ends) == 0);
        sigaction(SIGUSR1, handler, again ? SA_RESTART : 0);
        int me = getpid(), child = fork();
        if (child == 0) {
            pause_ms(2);
            kill(me, SIGUSR1);
            pause_ms(2);
            write(ends[1], "x", 1);
            exit(0);
        }
        handled = 0;
        long got = read(ends[0], &c, 1);
        CHECK(handled == SIGUSR1);
        CHECK(got == (again ? 1 : -EINTR));
        CHECK(wait4(child, 0, 0) == child);
        close(ends[0]);
        close(ends[1]);
    }
}
/* A sleep that a signal ends says how much of it was left. */
void sleep_left(void)
{
    long wanted[2] = { 0, 50000000 }, left[2] = { -1, -1 };
    int me = getpid(), child = fork();

    if (child == 0) {
        pause_ms(10);
        kill(me, SIGUSR1);
        exit(0);
    }
    sigaction(SIGUSR1, handler, SA_RESTART);
    CHECK(SYS(101, wanted, left) == -EINTR);
    CHECK(handled == SIGUSR1 && left[0] == 0 && left[1] > 0 && left[1] < 45000000);
    status_of(child);
}
/* What is ignored stays so in a child; a signal that waits is its parent's alone. */
void fork_signals(void)
{
    unsigned long usr2 = 1 << (SIGUSR2 - 1), waiting = 0;

    sigaction(SIGUSR1, (void *)SIG_IGN, 0);
    SYS(135, 0, &usr2, 0, 8);
    kill(getpid(), SIGUSR2);
    int child = fork();
    if (child == 0) {
        kill(getpid(), SIGUSR1);
        SYS(136, &waiting, 8);
        exit(waiting == 0 ? 5 : 6);
    }
    CHECK(status_of(child) == 5 << 8);
    SYS(136, &waiting, 8);
    CHECK(waiting == usr2);
}
/* A signal that comes while a child of vfork has our memory is handled afterwards, and the child is made once. */
static void vfork_signal_child(struct thread *thread)
{
    kill(SYS(173, 0), SIGUSR1);
    pause_ms(3);
    seen = thread->number + handled;
    exit(5);
}
void vfork_signal(void)
{
    struct thread thread = { .number = 42, .work = vfork_signal_child };
    char *stack = pages(4, MAP_PRIVATE);
    struct thread **top = (struct thread **)(stack + 4 * PAGE - 16);

    sigaction(SIGUSR1, handler, 0);
    *top = &thread;
    long child = start(CLONE_VFORK_VM, top, 0, 0, 0);
    CHECK(child > 0 && seen == 42 && handled == SIGUSR1);
    CHECK(status_of(child) == 5 << 8);
    CHECK(wait4(-1, 0, 0) == -ECHILD);
}
/* Many mappings, each unlike its neighbours. */
void many_areas(void)
{
    char *at = pages(3000, MAP_PRIVATE);

    for (int i = 0; i < 3000; i += 2)
        CHECK(mprotect(at + i * PAGE, PAGE, PROT_READ) == 0);
    for (int i = 1; i < 3000; i += 2)
        CHECK(munmap(at + i * PAGE, PAGE) == 0);
    CHECK(at[2 * PAGE] == 0);
    CHECK(munmap(at, 3000 * PAGE) == 0);
}
/* A write that a signal interrupts half way has written what it says, and nothing twice. */
void partial_write(void)
{
    int ends[2];
    long total = 0;
    static unsigned char buffer[5000];

    CHECK(pipe(ends) == 0);
    sigaction(SIGUSR1, handler, SA_RESTART);    /* before there is a child, which may take its time on a busy host */
    int child = fork();
    if (child == 0) {
        close(ends[0]);
        for (int i = 0; i < MUCH; i++)
            much[i] = i % 251;
        for (long done = 0; done < MUCH;) {
            long put = write(ends[1], much + done, MUCH - done);
            CHECK(put > 0);
            done += put;
        }
        exit(handled == SIGUSR1 ? 0 : 1);
    }
    close(ends[1]);
    pause_ms(3);
    kill(child, SIGUSR1);
    for (long got; (got = read(ends[0], buffer, sizeof buffer)) != 0; total += got) {
        CHECK(got > 0);
        for (long i = 0; i < got; i++)
            CHECK(buffer[i] == (total + i) % 251);
        if (total < 20000) {
            pause_ms(1);
            kill(child, SIGUSR1);
        }
    }
    CHECK(total == MUCH);
    CHECK(status_of(child) == 0);
}
void no_reader(void)
{
    int ends[2];

    CHECK(pipe(ends) == 0);
    close(ends[0]);
    int child = fork();
    if (child == 0) {
        write(ends[1], "x", 1);
        exit(1);
    }
    CHECK(status_of(child) == SIGPIPE);
    sigaction(SIGPIPE, (void *)SIG_IGN, 0);
    CHECK(write(ends[1], "x", 1) == -EPIPE);
}
void sigkill(void)
{
    int child, ends[2];
    unsigned long all = -1;

    CHECK(sigaction(SIGKILL, handler, 0) == -EINVAL);
    CHECK(pipe(ends) == 0);
    child = fork();
    if (child == 0) {
        char c;
        SYS(135, 2, &all, 0, 8);
        read(ends[0], &c, 1);
        exit(1);
    }
    pause_ms(2);
    kill(child, SIGINT);                        /* blocked */
    pause_ms(2);
    CHECK(wait4(child, 0, WNOHANG) == 0);
    kill(child, SIGKILL);
    CHECK(status_of(child) == SIGKILL);
}
void ignored_by_exec(void)
{
    static char *other[] = { "/program", "ignores", 0 };
    int child = fork();

    if (child == 0) {
        sigaction(SIGUSR1, (void *)SIG_IGN, 0);
        sigaction(SIGUSR2, handler, 0);
        execve("/program", other, 0);
        exit(99);
    }
    CHECK(status_of(child) == SIGUSR2);
}
void ignores(void)
{
    kill(getpid(), SIGUSR1);                    /* stays ignored */
    kill(getpid(), SIGUSR2);                    /* its handler is gone */
    exit(1);
}
void children_ignored(void)
{
    for (int way = 0; way < 2; way++) {
        handled = 0;
        sigaction(SIGCHLD, way ? (void *)handler : (void *)SIG_IGN, way ? SA_NOCLDWAIT | SA_RESTART : 0);
        int child = fork();
        if (child == 0)
            exit(0);
        CHECK(wait4(child, 0, 0) == -ECHILD);
        CHECK(kill(child, 0) == -ESRCH);
        CHECK(handled == (way ? SIGCHLD : 0));
    }
    sigaction(SIGCHLD, handler, SA_RESTART);
    handled = 0;
    int child = fork();
    if (child == 0)
        exit(3);
    CHECK(status_of(child) == 3 << 8);
    CHECK(handled == SIGCHLD);
}
void waits(void)
{
    int status, parent = getpid();

    CHECK(wait4(-1, &status, 0) == -ECHILD);
    CHECK(wait4(12345, &status, WNOHANG) == -ECHILD);
    int child = fork();
    if (child == 0) {
        int grandchild = fork();
        if (grandchild == 0) {
            pause_ms(3);
            CHECK(SYS(173, 0) == parent);       /* 1 is everybody's parent in the end */
            exit(5);
        }
        exit(4);
    }
    CHECK(status_of(child) == 4 << 8);
    CHECK(wait4(-1, &status, WNOHANG) == 0);
    CHECK(wait4(-1, &status, 0) > child && status == 5 << 8);
    int a = fork();
    if (a == 0)
        for (;;)
            pause_ms(1);
    int b = fork();
    if (b == 0)
        exit(6);
    CHECK(SYS(154, a, a) == 0);
    CHECK(wait4(-a, &status, WNOHANG) == 0);
    CHECK(wait4(-b, &status, WNOHANG) == -ECHILD);
    CHECK(wait4(0, &status, 0) == b && status == 6 << 8);
    CHECK(wait4(-1, 0, 4096) == -EINVAL);
    CHECK(kill(-a, SIGKILL) == 0);
    CHECK(wait4(-a, &status, 0) == a && status == SIGKILL);
}
