/* SPDX-License-Identifier: MIT */
/* One line per check; the end of the program tells the emulator whether all were good. */
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>

#include "console.h"
#include "platform.h"

static unsigned passed, failed;

static inline bool check(bool good, const char *what)
{
    printk("%s  %s\n", good ? "PASS" : "FAIL", what);
    if (good)
        passed++;
    else
        failed++;
    return good;
}

_Noreturn static inline void finish(void)
{
    printk("%u passed, %u failed\n", passed, failed);
    platform_stop(failed ? STOP_FAIL : STOP_PASS);
}

_Noreturn void test_main(uint64_t tree);
#endif
