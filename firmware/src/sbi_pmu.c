/* SPDX-License-Identifier: MIT */
/*
 * Performance Monitoring Unit extension (chapter 11). The counters of a hart, by their logical number:
 *
 *   0, 2       cycle, instret        count one event each, and run from the start, whether anybody asks for them or not
 *   3 …        hpmcounter3 …         count what the device tree's pmu node gives them (pmu_events.c)
 *   behind     16 of the firmware    count what the firmware does
 *
 * A hardware counter's number is its CSR's distance from cycle; 1 would be time, and is none. A hart that stops
 * forgets its counters. Overflow interrupts and filters by privilege mode are not used: without Sscofpmf there are none,
 * and what the firmware executes is counted with the rest.
 *
 *               config_matching            start             stop
 *     free ----------------------> configured <------> counting
 *       ^                             |
 *       +-----------------------------+  stop with RESET (which also stops)
 *
 * The events of the firmware are always counted; a firmware counter is a distance from its event's count, so that an
 * event costs one increment however many counters look on.
 */
#include "csr.h"
#include "hart.h"
#include "hpm.h"
#include "pmu.h"
#include "sbi.h"

enum { NUM_COUNTERS, GET_INFO, CONFIG_MATCHING, START, STOP, FW_READ, FW_READ_HI };

enum { CFG_SKIP_MATCH = 1 << 0, CFG_CLEAR_VALUE = 1 << 1, CFG_AUTO_START = 1 << 2, CFG_FLAGS = 0xff };
enum { START_SET_INIT_VALUE = 1 << 0, START_INIT_SNAPSHOT = 1 << 1, START_FLAGS = 3 };
enum { STOP_RESET = 1 << 0, STOP_TAKE_SNAPSHOT = 1 << 1, STOP_FLAGS = 3 };

#define CYCLE 0
#define INSTRET 2
#define FIXED (1UL << CYCLE | 1UL << INSTRET)
#define PROGRAMMABLE 0xfffffff8UL
#define FW_COUNTERS 16
#define INFO_WIDTH_64 (63UL << 12)
#define INFO_FIRMWARE (1UL << 63)
#define RAW_BITS 48

/* Sets of counters have bit n for counter n. */
static struct pmu {
    uint64_t configured;                /* counters that have an event */
    uint64_t fw_counting;               /* of the firmware's; the hart's own are those that mcountinhibit does not stop */
    uint64_t fw_base[FW_COUNTERS];      /* value = base + the event's count; the base alone while stopped */
    uint8_t fw_event[FW_COUNTERS];
    uint64_t count[FW_EVENTS];
} pmus[MAX_HARTS];

static uint64_t hardware;               /* counters that the harts have; they are all alike */
static bool inhibitable;

static struct pmu *this_pmu(void)
{
    return &pmus[this_hart()->id];
}

void pmu_probe(void)
{
    inhibitable = csr_try_write(CSR_MCOUNTINHIBIT, PROGRAMMABLE);
    hardware = FIXED | (inhibitable ? hpm_probe() : 0);
}

bool pmu_present(void)
{
    return inhibitable;
}

void pmu_count(enum firmware_event event)
{
    this_pmu()->count[event]++;
}

/* --- sets of counters --- */

/* The firmware's first counter: the one behind the hart's last. */
static unsigned fw_first(void)
{
    unsigned n = 32;

    while (!(hardware >> (n - 1) & 1))
        n--;
    return n;
}

static uint64_t firmware(void)
{
    return ((1UL << FW_COUNTERS) - 1) << fw_first();
}

static uint64_t counting(const struct pmu *pmu)
{
    return (hardware & ~csr_read(CSR_MCOUNTINHIBIT)) | pmu->fw_counting;
}

/* Counter set parameter: `mask` counted from `base`. False if it names a counter that does not exist. */
static bool counter_set(uint64_t base, uint64_t mask, uint64_t *set)
{
    *set = 0;
    if (mask == 0)
        return true;
    if (base >= 64 || mask << base >> base != mask)
        return false;
    *set = mask << base;
    return !(*set & ~(hardware | firmware()));
}

#define for_each_counter(n, set) \
    for (unsigned n = 0; (set) >> n; n++) \
        if ((set) >> n & 1)

static uint64_t fw_count(const struct pmu *pmu, unsigned n)
{
    return pmu->count[pmu->fw_event[n - fw_first()]];
}

/* --- what is done to counters --- */

static void set_value(struct pmu *pmu, uint64_t set, uint64_t value)
{
    for_each_counter(n, set & hardware)
        hpm_swap(n, value);
    for_each_counter(n, set & firmware())
        pmu->fw_base[n - fw_first()] = value;
}

static void start_counting(struct pmu *pmu, uint64_t set)
{
    for_each_counter(n, set & firmware())
        pmu->fw_base[n - fw_first()] -= fw_count(pmu, n);
    pmu->fw_counting |= set & firmware();
    csr_clear(CSR_MCOUNTINHIBIT, set & hardware);
}

static void stop_counting(struct pmu *pmu, uint64_t set)
{
    csr_set(CSR_MCOUNTINHIBIT, set & hardware);
    for_each_counter(n, set & firmware())
        pmu->fw_base[n - fw_first()] += fw_count(pmu, n);
    pmu->fw_counting &= ~set;
}

static void free_counters(struct pmu *pmu, uint64_t set)
{
    for_each_counter(n, set & hardware & PROGRAMMABLE)
        hpm_select(n, 0);
    pmu->configured &= ~set;
}

void pmu_reset(void)
{
    struct pmu *pmu = this_pmu();
    uint64_t all = (hardware & PROGRAMMABLE) | firmware();

    if (!pmu_present())
        return;
    stop_counting(pmu, counting(pmu) & all);
    free_counters(pmu, all | FIXED);
    set_value(pmu, all, 0);
    start_counting(pmu, ~counting(pmu) & FIXED);
}

/* --- the calls --- */

static struct sbiret get_info(uint64_t n)
{
    uint64_t set;

    if (!counter_set(n, 1, &set))
        return sbi_error(SBI_ERR_INVALID_PARAM);
    return sbi_value(INFO_WIDTH_64 | (set & hardware ? CSR_CYCLE + n : INFO_FIRMWARE));
}

/* Whether there can be such an event at all: bits that have no meaning are zero. */
static bool event_valid(uint64_t event, uint64_t data)
{
    if (event >> 20)
        return false;
    if (EVENT_TYPE(event) == EVENT_RAW)
        return EVENT_CODE(event) == 0 && data >> RAW_BITS == 0;
    return data == 0;
}

/* The counters that can count it. */
static uint64_t counters_for(uint64_t event, uint64_t data)
{
    if (EVENT_TYPE(event) == EVENT_FIRMWARE)
        return EVENT_CODE(event) < FW_EVENTS ? firmware() : 0;
    uint64_t fixed = event == GENERAL_CYCLES ? 1UL << CYCLE : event == GENERAL_INSTRUCTIONS ? 1UL << INSTRET : 0;
    return fixed | (pmu_event_counters(event, data) & hardware);
}

/* Point a counter at an event. False if the hart does not take the selector. */
static bool configure(struct pmu *pmu, unsigned n, uint64_t event, uint64_t data)
{
    if (firmware() >> n & 1) {
        pmu->fw_event[n - fw_first()] = (uint8_t)EVENT_CODE(event);
    } else if (PROGRAMMABLE >> n & 1) {
        uint64_t selector = pmu_event_selector(event, data);
        if (selector == 0 || hpm_select(n, selector) != selector) {
            hpm_select(n, 0);
            return false;
        }
    }
    pmu->configured |= 1UL << n;
    return true;
}

static struct sbiret config_matching(const uint64_t args[6])
{
    struct pmu *pmu = this_pmu();
    uint64_t set, flags = args[2], event = args[3], data = args[4];

    if (!counter_set(args[0], args[1], &set) || flags & ~(uint64_t)CFG_FLAGS || !event_valid(event, data))
        return sbi_error(SBI_ERR_INVALID_PARAM);
    if (flags & CFG_SKIP_MATCH)
        set &= -set;                    /* the first, whatever it counted before */
    else
        set &= ~pmu->configured;
    set &= counters_for(event, data) & ~counting(pmu);
    for_each_counter(n, set) {
        if (!configure(pmu, n, event, data))
            continue;
        if (flags & CFG_CLEAR_VALUE)
            set_value(pmu, 1UL << n, 0);
        if (flags & CFG_AUTO_START)
            start_counting(pmu, 1UL << n);
        return sbi_value(n);
    }
    return sbi_error(SBI_ERR_NOT_SUPPORTED);
}

/* Those of the set that count already go on undisturbed; the others start. */
static struct sbiret start(const uint64_t args[6])
{
    struct pmu *pmu = this_pmu();
    uint64_t set, flags = args[2];

    if (!counter_set(args[0], args[1], &set) || flags & ~(uint64_t)START_FLAGS || set & ~(pmu->configured | FIXED))
        return sbi_error(SBI_ERR_INVALID_PARAM);
    if (flags & START_INIT_SNAPSHOT)
        return sbi_error(SBI_ERR_NO_SHMEM);
    uint64_t started = set & counting(pmu);
    if (flags & START_SET_INIT_VALUE)
        set_value(pmu, set & ~started, args[3]);
    start_counting(pmu, set & ~started);
    return sbi_error(started ? SBI_ERR_ALREADY_STARTED : SBI_SUCCESS);
}

static struct sbiret stop(const uint64_t args[6])
{
    struct pmu *pmu = this_pmu();
    uint64_t set, flags = args[2];

    if (!counter_set(args[0], args[1], &set) || flags & ~(uint64_t)STOP_FLAGS)
        return sbi_error(SBI_ERR_INVALID_PARAM);
    if (flags & STOP_TAKE_SNAPSHOT)
        return sbi_error(SBI_ERR_NO_SHMEM);
    uint64_t stopped = set & ~counting(pmu);
    stop_counting(pmu, set & ~stopped);
    if (flags & STOP_RESET)
        free_counters(pmu, set);
    return sbi_error(stopped ? SBI_ERR_ALREADY_STOPPED : SBI_SUCCESS);
}

static struct sbiret fw_read(uint64_t n, bool high)
{
    struct pmu *pmu = this_pmu();
    uint64_t set;

    if (!counter_set(n, 1, &set) || set & hardware)
        return sbi_error(SBI_ERR_INVALID_PARAM);
    uint64_t value = pmu->fw_base[n - fw_first()] + (set & pmu->fw_counting ? fw_count(pmu, (unsigned)n) : 0);
    return sbi_value(high ? 0 : value);     /* of 64 bits there are no higher ones */
}

struct sbiret sbi_pmu(unsigned long fid, const uint64_t args[6])
{
    switch (fid) {
    case NUM_COUNTERS:
        return sbi_value(fw_first() + FW_COUNTERS);
    case GET_INFO:
        return get_info(args[0]);
    case CONFIG_MATCHING:
        return config_matching(args);
    case START:
        return start(args);
    case STOP:
        return stop(args);
    case FW_READ:
    case FW_READ_HI:
        return fw_read(args[0], fid == FW_READ_HI);
    default:                            /* snapshots among them */
        return sbi_error(SBI_ERR_NOT_SUPPORTED);
    }
}
