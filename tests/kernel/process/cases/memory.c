/* SPDX-License-Identifier: MIT */
/* mmap and what belongs to it; memory that runs out. */
#include "cases.h"

void limits(void)
{
    char *page = pages(1, MAP_PRIVATE);
    long end = brk(0);
    const int anonymous = MAP_PRIVATE | MAP_ANONYMOUS;

#define FAILS(call, why) CHECK((long)(call) == -(why))
    FAILS(mmap(0, 0, 3, anonymous, -1, 0), EINVAL);
    FAILS(mmap(0, -1UL, 3, anonymous, -1, 0), ENOMEM);
    FAILS(mmap(0, -4096UL, 3, anonymous, -1, 0), ENOMEM);
    FAILS(mmap(0, 1UL << 47, 3, anonymous, -1, 0), ENOMEM);
    FAILS(mmap((void *)0x10000, -4096UL, 3, anonymous | MAP_FIXED, -1, 0), ENOMEM);
    FAILS(mmap((void *)(1UL << 47), PAGE, 3, anonymous | MAP_FIXED, -1, 0), ENOMEM);
    FAILS(mmap((void *)-4096UL, PAGE, 3, anonymous | MAP_FIXED, -1, 0), ENOMEM);
    FAILS(mmap(page + 1, PAGE, 3, anonymous | MAP_FIXED, -1, 0), EINVAL);
    FAILS(mmap(page, PAGE, 3, anonymous | 0x100000, -1, 0), EEXIST);
    FAILS(mmap(0, PAGE, 3, MAP_ANONYMOUS, -1, 0), EINVAL);
    FAILS(mmap(0, PAGE, 3, MAP_PRIVATE, 77, 0), 9);
    FAILS(mmap(0, PAGE, 3, MAP_PRIVATE, 0, 1), EINVAL);
    FAILS(munmap(page + 1, PAGE), EINVAL);
    FAILS(munmap(page, 0), EINVAL);
    FAILS(munmap(page, -1UL), EINVAL);
    FAILS(munmap(page, -4096UL), EINVAL);
    FAILS(munmap((void *)-4096UL, PAGE), EINVAL);
    FAILS(mprotect(page + 1, PAGE, 1), EINVAL);
    FAILS(mprotect(page, -1UL, 1), ENOMEM);
    FAILS(mprotect(page, -4096UL, 1), ENOMEM);
    FAILS(mprotect((void *)-4096UL, 8192, 1), ENOMEM);
    CHECK(brk((void *)-1UL) == end && brk((void *)(1UL << 47)) == end && brk((void *)1) == end);
    page[0] = 1;
    char *huge = mmap(0, 1UL << 45, PROT_READ | PROT_WRITE, anonymous, -1, 0);
    CHECK(!failed(huge));
    huge[1UL << 44] = 5;
    CHECK(fork() != 0 || (exit(huge[1UL << 44] == 5 ? 0 : 1), 0));
    CHECK(wait4(-1, 0, 0) > 0);
    CHECK(mprotect(huge, 1UL << 45, PROT_NONE) == 0 && mprotect(huge, 1UL << 45, PROT_READ) == 0);
    CHECK(huge[1UL << 44] == 5);
    CHECK(SYS(233, huge, 1UL << 45, 4) == 0 && huge[1UL << 44] == 0);
    CHECK(munmap(huge, 1UL << 45) == 0);
    CHECK(page[0] == 1);
}
static void rights_case(long prot)
{
    volatile char *page = pages(1, MAP_PRIVATE);

    page[0] = 1;
    CHECK(mprotect((void *)page, PAGE, prot & 7) == 0);
    if (prot & 8)
        page[0] = 2;
    else
        counter = page[0];
    exit(0);
}
void rights(void)
{
    in_child(rights_case, PROT_NONE, SIGSEGV);
    in_child(rights_case, PROT_NONE | 8, SIGSEGV);
    in_child(rights_case, PROT_READ | 8, SIGSEGV);
    in_child(rights_case, PROT_EXEC | 8, SIGSEGV);
    in_child(rights_case, PROT_READ, 0);
    in_child(rights_case, PROT_WRITE, 0);       /* what may be written may be read */
    in_child(rights_case, PROT_WRITE | 8, 0);
}
/* Memory that was shared is free when nobody maps it any more, not at the end. */
void shared_is_given_back(void)
{
    for (int i = 0; i < 16; i++) {
        char *at = pages(256, MAP_SHARED);
        for (int page = 0; page < 256; page++)
            at[page * PAGE] = 1;
        CHECK(munmap(at, 256 * PAGE) == 0);
    }
}
void shared_file(void)
{
    int fd = open("/data", O_RDONLY, 0);
    char *at = mmap(0, PAGE, PROT_READ, MAP_SHARED, fd, 0);

    CHECK(!failed(at) && at[0] == 'd');
    CHECK(mprotect(at, PAGE, PROT_READ | PROT_WRITE) == -EACCES);
    char *mine = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    mine[0] = 'm';
    CHECK(at[0] == 'd' && mine[0] == 'm');
}
void out_of_memory(void)
{
    for (int round = 0; round < 2; round++) {
        int child = fork();
        if (child == 0) {
            char *at = pages(1 << 20, MAP_PRIVATE);
            for (long i = 0;; i++)
                at[i * PAGE] = 1;
        }
        CHECK(status_of(child) == SIGKILL);
    }
}

/* A little of everything, whatever comes of it. */
static void touches(struct thread *thread)
{
    area[thread->number] = 1;
}
void everything(void)
{
    static char *argv[] = { "/program", "hello", 0 };
    struct thread thread = { .number = 1, .work = touches };
    int ends[2], fd = open("/new", O_CREAT | O_RDWR, 0644);
    char *page = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *stack = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    SYS(34, AT_FDCWD, "/directory", 0755);
    write(fd, much, 9000);
    if (pipe(ends) == 0) {
        if (write(ends[1], much, 5000) > 0)
            read(ends[0], much, 10);
    }
    sigaction(SIGUSR1, handler, 0);
    kill(getpid(), SIGUSR1);
    if (failed(page) || failed(stack))
        exit(0);
    page[0] = page[PAGE] = 1;
    area = (volatile long *)page;
    int child = fork();
    if (child == 0) {
        page[0] = page[2 * PAGE] = 2;
        execve("/program", argv, 0);
        exit(1);
    }
    struct thread **top = (struct thread **)(stack + 4 * PAGE - 16);
    *top = &thread;
    thread.tid = -1;
    if (start(CLONE_THREADS, top, &thread.tid, 0, &thread.tid) > 0)
        join(&thread);
    brk((char *)brk(0) + 2 * PAGE);
    wait4(-1, 0, 0);
}
