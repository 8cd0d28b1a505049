/* SPDX-License-Identifier: MIT */
/*
 * Which counter can count which event, and by what selector: the device tree's `pmu` node says it, in three tables. Columns
 * are 32-bit cells; "hi lo" is a 64-bit number.
 *
 *   riscv,event-to-mhpmevent          event, selector hi lo                   without a row: the event's own number
 *   riscv,event-to-mhpmcounters       first event, last event, counters       bit n for mhpmcounter n
 *   riscv,raw-event-to-mhpmcounters   value hi lo, mask hi lo, counters       raw events e with (e & mask) == value
 *
 * They are copied, since the tree is the next stage's. Rows that do not fit are left out: their events are not supported.
 */
#include "pmu_events.h"

#include "csr.h"
#include "fdt.h"

#define MAX_ROWS 32
#define FIXED_COUNTERS 7                /* cycle, time, instret: no selector */

static struct {
    uint64_t selector;
    uint32_t event;
} selectors[MAX_ROWS];

static struct {
    uint32_t first, last, counters;
} ranges[MAX_ROWS];

static struct {
    uint64_t value, mask;
    uint32_t counters;
} raws[MAX_ROWS];

static unsigned selector_count, range_count, raw_count;

/* A property's rows of `columns` cells each, MAX_ROWS at most. */
static unsigned rows(const struct fdt_node *node, const char *name, unsigned columns, const uint8_t **cells)
{
    struct fdt_property property;

    if (!fdt_node_property(node, name, &property))
        return 0;
    *cells = property.value;
    unsigned count = property.size / (4 * columns);
    return count < MAX_ROWS ? count : MAX_ROWS;
}

static uint64_t get64(const uint8_t *p)
{
    return (uint64_t)fdt_get32(p) << 32 | fdt_get32(p + 4);
}

static void visit(const struct fdt_node *node, void *unused)
{
    const uint8_t *p;

    (void)unused;
    if (!fdt_node_compatible(node, "riscv,pmu") || !fdt_node_enabled(node))
        return;
    selector_count = rows(node, "riscv,event-to-mhpmevent", 3, &p);
    for (unsigned i = 0; i < selector_count; i++, p += 12) {
        selectors[i].event = fdt_get32(p);
        selectors[i].selector = get64(p + 4);
    }
    range_count = rows(node, "riscv,event-to-mhpmcounters", 3, &p);
    for (unsigned i = 0; i < range_count; i++, p += 12) {
        ranges[i].first = fdt_get32(p);
        ranges[i].last = fdt_get32(p + 4);
        ranges[i].counters = fdt_get32(p + 8);
    }
    raw_count = rows(node, "riscv,raw-event-to-mhpmcounters", 5, &p);
    for (unsigned i = 0; i < raw_count; i++, p += 20) {
        raws[i].value = get64(p);
        raws[i].mask = get64(p + 8);
        raws[i].counters = fdt_get32(p + 16);
    }
}

void pmu_events_init(const struct fdt *tree)
{
    selector_count = range_count = raw_count = 0;
    if (tree)
        fdt_walk(tree, visit, NULL);
}

uint32_t pmu_event_counters(uint64_t event, uint64_t data)
{
    uint32_t counters = 0;

    if (EVENT_TYPE(event) == EVENT_RAW) {
        for (unsigned i = 0; i < raw_count; i++)
            if ((data & raws[i].mask) == raws[i].value)
                counters |= raws[i].counters;
    } else {
        for (unsigned i = 0; i < range_count; i++)
            if (event >= ranges[i].first && event <= ranges[i].last)
                counters |= ranges[i].counters;
    }
    return counters & ~FIXED_COUNTERS;
}

uint64_t pmu_event_selector(uint64_t event, uint64_t data)
{
    if (EVENT_TYPE(event) == EVENT_RAW)
        return data;
    for (unsigned i = 0; i < selector_count; i++)
        if (selectors[i].event == event)
            return selectors[i].selector;
    return event;
}
