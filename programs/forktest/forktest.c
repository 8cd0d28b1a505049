/* SPDX-License-Identifier: MIT */
/* Forks until the system has no more processes or memory, waits for all, and does it again: nothing may be lost. */
#include "print.h"

#define MOST 1000

static int fork_all(void)
{
    int count = 0;

    for (; count < MOST; count++) {
        long pid = fork();

        if (pid == 0)
            exit(count & 0x7f);
        if (pid < 0) {
            CHECK(pid == -EAGAIN || pid == -ENOMEM);
            break;
        }
    }
    return count;
}

static void wait_for(int count)
{
    long sum = 0, expected = 0;
    int status;

    for (int i = 0; i < count; i++) {
        CHECK(wait4(-1, &status, 0) > 0);
        CHECK((status & 0x7f) == 0);
        sum += status >> 8;
        expected += i & 0x7f;
    }
    CHECK(sum == expected);
    CHECK(wait4(-1, &status, 0) == -10);        /* ECHILD */
}

int main(void)
{
    int first = fork_all();

    CHECK(first > 10 && first < MOST);
    wait_for(first);
    print("forktest: children until there was no room, all of them came back\n");
    int second = fork_all();

    wait_for(second);
    CHECK(second >= first);
    print("forktest: and as many again\n");
    return 0;
}
