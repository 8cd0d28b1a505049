/* SPDX-License-Identifier: MIT */
/* mmap, munmap, mprotect and brk: what may be touched, what may not, and what is there. */
#include "print.h"

#define PAGE 4096
#define SEGV 11

/* The signal that ends a child which reads (or writes) a byte at `at`; 0 if none does. */
static int touch(volatile char *at, int writes)
{
    int status;
    long pid = fork();

    CHECK(pid >= 0);
    if (pid == 0) {
        if (writes)
            *at = 1;
        else
            (void)*at;
        exit(0);
    }
    CHECK(wait4(pid, &status, 0) == pid);
    return status & 0x7f;
}

int main(void)
{
    char *at = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(!failed(at));
    for (int i = 0; i < 4 * PAGE; i++)
        CHECK(at[i] == 0);
    at[PAGE] = 7;
    CHECK(munmap(at + PAGE, PAGE) == 0);
    CHECK(touch(at, 1) == 0 && touch(at + PAGE, 0) == SEGV && touch(at + 2 * PAGE, 1) == 0);
    CHECK(mmap(at + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at + PAGE);
    CHECK(at[PAGE] == 0);
    print("mmaptest: a hole is a hole, and what is mapped into it is zero\n");

    CHECK(mprotect(at, PAGE, PROT_READ) == 0);
    CHECK(touch(at, 0) == 0 && touch(at, 1) == SEGV);
    CHECK(mprotect(at, PAGE, 0) == 0);
    CHECK(touch(at, 0) == SEGV);
    CHECK(mprotect(at, PAGE, PROT_READ | PROT_WRITE) == 0);
    CHECK(touch(at, 1) == 0);
    CHECK(munmap(at, 4 * PAGE) == 0 && mprotect(at, PAGE, PROT_READ) == -ENOMEM);
    print("mmaptest: rights are what mprotect said last\n");

    long fd = open("/tmp/mmaptest", O_RDWR | O_CREAT | O_TRUNC, 0600);

    CHECK(fd >= 0);
    for (int i = 0; i < 3 * PAGE / 2; i++) {
        char byte = i % 251;

        if (i < 100 || i >= 3 * PAGE / 2 - 100)         /* a gap between */
            CHECK(pwrite(fd, &byte, 1, i) == 1);
    }
    char *file = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    char byte;

    CHECK(!failed(file));
    CHECK(file[99] == 99 && file[100] == 0 && file[3 * PAGE / 2 - 1] == (3 * PAGE / 2 - 1) % 251);
    CHECK(file[3 * PAGE / 2] == 0);
    file[99] = 1;
    CHECK(pread(fd, &byte, 1, 99) == 1 && byte == 99);
    CHECK(close(fd) == 0 && unlink("/tmp/mmaptest") == 0);
    CHECK(file[98] == 98 && file[99] == 1);
    print("mmaptest: a private mapping has the file's bytes, and keeps its own\n");

    char *end = (char *)brk(0);

    CHECK((char *)brk(end + 10 * PAGE) == end + 10 * PAGE);
    end[0] = end[10 * PAGE - 1] = 3;
    CHECK((char *)brk(end) == end);
    print("mmaptest: the heap grows and shrinks\n");
    return 0;
}
