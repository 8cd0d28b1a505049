/* SPDX-License-Identifier: MIT */
/* Three children count without ever calling the system; all of them go on, because none may keep the hart. */
#include "print.h"

#define CHILDREN 3
#define ROUNDS 10

int main(void)
{
    volatile unsigned long *counts = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    long pids[CHILDREN];

    CHECK(!failed((void *)counts));
    for (int child = 0; child < CHILDREN; child++) {
        pids[child] = fork();
        CHECK(pids[child] >= 0);
        if (pids[child] == 0) {
            double x = child;

            for (;;) {
                if (++counts[child] % 64)
                    continue;
                x = x * 0.5 + child;                    /* floating point is each task's own */
                if (x < child || x > 2.0 * child + 1)
                    exit(1);
            }
        }
    }
    for (int round = 0; round < ROUNDS; round++) {
        unsigned long before[CHILDREN];
        int moved = 0;

        for (int child = 0; child < CHILDREN; child++)
            before[child] = counts[child];
        while (moved != (1 << CHILDREN) - 1)
            for (int child = 0; child < CHILDREN; child++)
                if (counts[child] != before[child])
                    moved |= 1 << child;
    }
    for (int child = 0; child < CHILDREN; child++) {
        int status;

        CHECK(kill(pids[child], 9) == 0);
        CHECK(wait4(pids[child], &status, 0) == pids[child] && status == 9);
    }
    print("preempt: three tasks that never yield have all moved on, %d times\n", ROUNDS);
    return 0;
}
