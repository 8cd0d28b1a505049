/* SPDX-License-Identifier: MIT */
/* Copy-on-write: parent and child see the same pages until one of them writes, and then its own. */
#include "print.h"

#define PAGE 4096
#define PAGES 256

int main(void)
{
    unsigned *pages = mmap(0, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned *shared = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;

    CHECK(!failed(pages) && !failed(shared));
    for (int i = 0; i < PAGES; i++)
        pages[i * PAGE / 4] = i;
    shared[0] = 0;
    for (int child = 0; child < 3; child++) {
        long pid = fork();

        CHECK(pid >= 0);
        if (pid == 0) {
            for (int i = 0; i < PAGES; i++)
                CHECK(pages[i * PAGE / 4] == (unsigned)i);
            for (int i = 0; i < PAGES; i += 2)
                pages[i * PAGE / 4] = 1000 * child + i;
            for (int i = 0; i < PAGES; i++)
                CHECK(pages[i * PAGE / 4] == (unsigned)(i % 2 ? i : 1000 * child + i));
            shared[0] += 1;
            exit(40 + child);
        }
        CHECK(wait4(pid, &status, 0) == pid);
        CHECK(status == (40 + child) << 8);
    }
    for (int i = 0; i < PAGES; i++)
        CHECK(pages[i * PAGE / 4] == (unsigned)i);
    print("cowtest: three children wrote to 128 pages each, the parent's are what they were\n");
    CHECK(shared[0] == 3);
    print("cowtest: the shared page has counted all three\n");
    return 0;
}
