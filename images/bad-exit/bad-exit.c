/* SPDX-License-Identifier: MIT */
/* Failing with a code of one's own: the test finisher takes it in the upper half of the word, with FAIL in the lower. */
#include <stdint.h>

#include "csr.h"
#include "print.h"

#define FINISHER 0x100000UL
#define FINISHER_FAIL 0x3333u
#define CODE 42u

int main(void)
{
    print("Failing with code %u.\n", CODE);
    *(volatile uint32_t *)FINISHER = CODE << 16 | FINISHER_FAIL;
    for (;;)
        wfi();
}
