/* SPDX-License-Identifier: MIT */
/* One line per check, under the name of its section. */
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "sbi.h"

#define FIRMWARE 0x80000000UL           /* where S-mode must not get at */

void section(const char *name);
void check(const char *what, bool good);

/* Whether a call gave this error, and this value; if not, what it gave is printed. */
bool gives(struct sbiret ret, long error, unsigned long value);
bool fails(struct sbiret ret, long error);

/* Whether a load from there is an access fault. */
bool load_faults(unsigned long address);

/* Wait until hart_get_status says `status`; false for a hart that does not exist. */
bool reaches(unsigned long hart, unsigned long status);

enum { STARTED, STOPPED, START_PENDING, STOP_PENDING, SUSPENDED };

void test_pmu(void);                    /* pmu.c */
void test_pmu_with(unsigned long other);
#endif
