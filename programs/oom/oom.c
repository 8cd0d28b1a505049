/* SPDX-License-Identifier: MIT */
/* A child takes memory until there is none: it is killed, its parent and the system are well, and all of it comes back. */
#include "print.h"

#define PAGE 4096
#define PIECE 256               /* pages that are asked for at a time; each comes when it is touched */

static long eat(void)
{
    int fds[2], status;
    long pages = 0, said;

    CHECK(pipe(fds) == 0);
    long pid = fork();

    CHECK(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        for (;; pages += PIECE) {
            char *piece = mmap(0, PIECE * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

            CHECK(!failed(piece));
            for (long i = 0; i < PIECE; i++)
                piece[i * PAGE] = 1;
            write(fds[1], &pages, sizeof pages);
        }
    }
    close(fds[1]);
    while (read(fds[0], &said, sizeof said) == sizeof said)
        pages = said;
    CHECK(wait4(pid, &status, 0) == pid && status == 9);
    close(fds[0]);
    return pages;
}

int main(void)
{
    long first = eat(), second = eat();

    CHECK(first > 1000 && second >= first - PIECE);
    print("oom: the child that wanted everything was killed, twice, after as many pages\n");
    return 0;
}
