/* SPDX-License-Identifier: MIT */
/* Events as the SBI numbers them (11.1 to 11.4), and what the hart has for them. */
#ifndef PMU_EVENTS_H
#define PMU_EVENTS_H

#include <stdint.h>

struct fdt;

/* event_idx: the type in bits 19:16, the code below. */
#define EVENT_TYPE(event) ((event) >> 16)
#define EVENT_CODE(event) ((event) & 0xffff)
enum event_type { EVENT_GENERAL = 0, EVENT_CACHE = 1, EVENT_RAW = 2, EVENT_FIRMWARE = 15 };

/* Codes of general events that have a counter of their own */
enum { GENERAL_CYCLES = 1, GENERAL_INSTRUCTIONS = 2 };

/* Codes of firmware events. The firmware counts those below FW_EVENTS; the rest, to 21, are the hypervisor extension's. */
enum firmware_event {
    FW_MISALIGNED_LOAD, FW_MISALIGNED_STORE, FW_ACCESS_LOAD, FW_ACCESS_STORE, FW_ILLEGAL_INSN, FW_SET_TIMER, FW_IPI_SENT,
    FW_IPI_RECEIVED, FW_FENCE_I_SENT, FW_FENCE_I_RECEIVED, FW_SFENCE_VMA_SENT, FW_SFENCE_VMA_RECEIVED,
    FW_SFENCE_VMA_ASID_SENT, FW_SFENCE_VMA_ASID_RECEIVED, FW_EVENTS,
};

/* Take over the device tree's `pmu` node; NULL or a tree without one: there are no events for programmable counters. */
void pmu_events_init(const struct fdt *tree);

/* The programmable counters that can count a hardware event, bit n for mhpmcounter n. `data` is event_data. */
uint32_t pmu_event_counters(uint64_t event, uint64_t data);

/* What mhpmevent takes for it. */
uint64_t pmu_event_selector(uint64_t event, uint64_t data);
#endif
