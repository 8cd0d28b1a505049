/* SPDX-License-Identifier: MIT */
/* The hart's counters by number: 0 is mcycle, 2 minstret, 3 to 31 mhpmcounter3 to 31, which count what mhpmevent3 to 31 select. */
#ifndef HPM_H
#define HPM_H

#include <stdint.h>

/* The programmable counters that this hart has, bit n for mhpmcounter n; they are 0 then. For start-up only: it takes traps. */
uint32_t hpm_probe(void);

/* Set a counter that exists; its old value. */
uint64_t hpm_swap(unsigned counter, uint64_t value);

/* Set the selector of a programmable counter; the one that the hart took. */
uint64_t hpm_select(unsigned counter, uint64_t selector);
#endif
