/* SPDX-License-Identifier: MIT */
/* More than one hart. */
#ifndef SMP_H
#define SMP_H

#include <stdint.h>

#include "sbi.h"
#include "stack.h"

void hart_entry(void);                  /* start.S */

/* Run `function` on another hart, on its own stack, with its hart id. */
static inline struct sbiret start_hart(unsigned long hart, void (*function)(unsigned long hart))
{
    return sbi_hart_start(hart, (uint64_t)hart_entry, (unsigned long)function);
}
#endif
