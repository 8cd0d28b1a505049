/* SPDX-License-Identifier: MIT */
/* user OPERATION COUNT: does one thing of a program's life that often. A Linux program, for `python -m bench user`. */
#include "print.h"

#define PAGE 4096

static char buffer[PAGE];

static inline long getppid(void) { return SYS(173, 0); }

static long number(const char *text)
{
    long value = 0;

    while (*text)
        value = value * 10 + *text++ - '0';
    return value;
}

static void reap(long pid)
{
    int status;

    CHECK(pid > 0);
    CHECK(wait4(pid, &status, 0) == pid && status == 0);
}

static void calls(long count)
{
    while (count--)
        getppid();
}

static void file(long count, int writes)
{
    int fd = open("/user-file", O_RDWR | O_CREAT, 0600);

    CHECK(fd >= 0 && pwrite(fd, buffer, PAGE, 0) == PAGE);
    while (count--)
        CHECK((writes ? pwrite(fd, buffer, PAGE, 0) : pread(fd, buffer, PAGE, 0)) == PAGE);
    close(fd);
    CHECK(unlink("/user-file") == 0);
}

static void reads(long count) { file(count, 0); }
static void writes(long count) { file(count, 1); }

/* A byte to another process and back. */
static void ping(long count)
{
    int there[2], back[2];
    char byte = 0;

    CHECK(pipe(there) == 0 && pipe(back) == 0);
    long pid = fork();

    if (pid == 0) {
        close(there[1]);
        while (read(there[0], &byte, 1) == 1)
            write(back[1], &byte, 1);
        exit(0);
    }
    close(there[0]);
    while (count--) {
        CHECK(write(there[1], &byte, 1) == 1);
        CHECK(read(back[0], &byte, 1) == 1);
    }
    close(there[1]);
    reap(pid);
}

/* Pages of new memory touched, 1024 at a time. */
static void fault(long count)
{
    while (count > 0) {
        long pages = count < 1024 ? count : 1024;
        char *memory = mmap(0, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        CHECK(!failed(memory));
        for (long i = 0; i < pages; i++)
            memory[i * PAGE] = 1;
        CHECK(munmap(memory, pages * PAGE) == 0);
        count -= pages;
    }
}

/* Stores to pages that a child has, too. */
static void copy(long count)
{
    long size = count * PAGE;
    char *memory;

    if (!count)
        return;
    memory = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(!failed(memory));
    for (long i = 0; i < count; i++)
        memory[i * PAGE] = 1;
    long pid = fork();

    if (pid == 0) {
        for (long i = 0; i < count; i++)
            memory[i * PAGE] = 2;
        exit(0);
    }
    reap(pid);
}

static void forks(long count)
{
    while (count--) {
        long pid = fork();

        if (pid == 0)
            exit(0);
        reap(pid);
    }
}

static void programs(long count)
{
    char *line[] = {"true", 0}, *environment[] = {0};

    while (count--) {
        long pid = fork();

        if (pid == 0) {
            execve("/bin/true", line, environment);
            exit(1);
        }
        reap(pid);
    }
}

static const struct {
    const char *name;
    void (*run)(long count);
} operations[] = {
    {"getppid", calls}, {"read", reads},  {"write", writes}, {"ping", ping},
    {"fault", fault},   {"copy", copy},   {"fork", forks},   {"exec", programs},
};

static int same(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

int main(int count, char **words)
{
    CHECK(count == 3);
    for (unsigned i = 0; i < sizeof operations / sizeof operations[0]; i++)
        if (same(words[1], operations[i].name)) {
            operations[i].run(number(words[2]));
            return 0;
        }
    print("user: there is no %s\n", words[1]);
    return 2;
}
