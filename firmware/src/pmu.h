/* SPDX-License-Identifier: MIT */
/* What the rest of the firmware does for the performance counters: sbi_pmu.c. */
#ifndef PMU_H
#define PMU_H

#include <stdbool.h>

#include "pmu_events.h"

/* For this hart, at start-up: find out what counters there are. */
void pmu_probe(void);

/* Whether the harts have what the extension needs: mcountinhibit. */
bool pmu_present(void);

/* For this hart: every counter without an event, and stopped, but for cycle and instret, which run. */
void pmu_reset(void);

/* A firmware event happens on this hart. */
void pmu_count(enum firmware_event event);
#endif
