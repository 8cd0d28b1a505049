/* SPDX-License-Identifier: MIT */
#include "sbi.h"

_Noreturn void exit(int code)
{
    sbi_call(SBI_SRST, 0, 0, code != 0);        /* shutdown; reason: none, or system failure */
    sbi_call(SBI_LEGACY_SHUTDOWN, 0);           /* an older firmware */
    for (;;)
        __asm__ volatile("wfi");
}
