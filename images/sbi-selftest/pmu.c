/* SPDX-License-Identifier: MIT */
/*
 * PMU (chapter 11): the counters of a hart and of the firmware. How much hardware counters count depends on the machine, so it is
 * only checked that they move, or stand still; the firmware's count exactly. A stopped counter is read once before it is
 * looked at, since that is what QEMU 7.2 stops it by.
 */
#include "check.h"
#include "csr.h"
#include "smp.h"

enum { NUM_COUNTERS, GET_INFO, CONFIG, START, STOP, FW_READ, FW_READ_HI, SET_SHMEM };
enum { SKIP_MATCH = 1, CLEAR_VALUE = 2, AUTO_START = 4, INHIBIT_MODES = 0xf8 };
enum { SET_INIT_VALUE = 1, INIT_SNAPSHOT = 2 };
enum { RESET = 1, TAKE_SNAPSHOT = 2 };

#define CYCLES 1
#define INSTRUCTIONS 2
#define BUS_CYCLES 7
#define RAW 0x20000
#define FIRMWARE_EVENT(code) (0xf0000 | (code))
#define ACCESS_LOAD FIRMWARE_EVENT(2)
#define SET_TIMER FIRMWARE_EVENT(5)
#define IPI_SENT FIRMWARE_EVENT(6)
#define IPI_RECEIVED FIRMWARE_EVENT(7)
#define FENCE_I_SENT FIRMWARE_EVENT(8)
#define FENCE_I_RECEIVED FIRMWARE_EVENT(9)
#define SFENCE_SENT FIRMWARE_EVENT(10)
#define SFENCE_ASID_SENT FIRMWARE_EVENT(12)
#define HFENCE_SENT FIRMWARE_EVENT(14)

#define CYCLE 0UL
#define INSTRET 2UL
#define HPM3 3UL
#define HPM4 4UL
#define HPM5 5UL
#define ONE(counter) (counter), 1UL     /* a set of one counter */
#define UP_TO(n) 0UL, (~0UL >> (64 - (n)) & ~2UL)    /* all below n but 1, which is none */
#define EVERY UP_TO(count)

static unsigned long count;             /* of counters */
static unsigned long first_fw;          /* the firmware's first */

static struct sbiret fw_read(unsigned long counter)
{
    return sbi_call(SBI_PMU, FW_READ, counter);
}

static void test_info(void)
{
    struct sbiret ret = sbi_call(SBI_PMU, NUM_COUNTERS);

    count = ret.value;
    first_fw = count - 16;
    check("num_counters: cycle, instret, some programmable ones, 16 of the firmware",
          ret.error == SBI_SUCCESS && count >= 20 && count <= 48);
    check("counter_get_info: 0 is cycle, 64 bits", gives(sbi_call(SBI_PMU, GET_INFO, 0), SBI_SUCCESS, 0x3fc00));
    check("2 is instret", gives(sbi_call(SBI_PMU, GET_INFO, 2), SBI_SUCCESS, 0x3fc02));
    check("3 is hpmcounter3", gives(sbi_call(SBI_PMU, GET_INFO, 3), SBI_SUCCESS, 0x3fc03));
    check("time is no counter", fails(sbi_call(SBI_PMU, GET_INFO, 1), SBI_ERR_INVALID_PARAM));
    bool all = true;
    for (unsigned long n = first_fw; n < count; n++)
        all &= (long)sbi_call(SBI_PMU, GET_INFO, n).value < 0;
    check("the last 16 are the firmware's", all && (long)sbi_call(SBI_PMU, GET_INFO, first_fw - 1).value > 0);
    check("behind them there are none", fails(sbi_call(SBI_PMU, GET_INFO, count), SBI_ERR_INVALID_PARAM));
    check("and none far out", fails(sbi_call(SBI_PMU, GET_INFO, 1UL << 40), SBI_ERR_INVALID_PARAM));
}

static bool moves(void)
{
    uint64_t before = csr_read(hpmcounter3);
    return csr_read(hpmcounter3) > before;
}

static bool stands_still(void)
{
    csr_read(hpmcounter3);
    uint64_t before = csr_read(hpmcounter3);
    return csr_read(hpmcounter3) == before;
}

static void test_hardware(void)
{
    check("counter_config_matching finds a counter for instructions: instret runs already",
          gives(sbi_call(SBI_PMU, CONFIG, EVERY, CLEAR_VALUE, INSTRUCTIONS), SBI_SUCCESS, HPM3));
    check("it stands at 0", stands_still() && csr_read(hpmcounter3) == 0);
    check("counter_start", gives(sbi_call(SBI_PMU, START, ONE(HPM3)), SBI_SUCCESS, 0));
    check("it counts", moves());
    check("counter_start, started already", fails(sbi_call(SBI_PMU, START, ONE(HPM3)), SBI_ERR_ALREADY_STARTED));
    check("it is not for another event while it counts",
          fails(sbi_call(SBI_PMU, CONFIG, ONE(HPM3), SKIP_MATCH, CYCLES), SBI_ERR_NOT_SUPPORTED));
    check("counter_stop", gives(sbi_call(SBI_PMU, STOP, ONE(HPM3)), SBI_SUCCESS, 0));
    check("it stands still", stands_still());
    check("counter_stop, stopped already", fails(sbi_call(SBI_PMU, STOP, ONE(HPM3)), SBI_ERR_ALREADY_STOPPED));
    check("counter_start with a value",
          gives(sbi_call(SBI_PMU, START, ONE(HPM3), SET_INIT_VALUE, 1UL << 40), SBI_SUCCESS, 0));
    check("it counts from there", moves() && csr_read(hpmcounter3) >> 40 == 1);
    sbi_call(SBI_PMU, STOP, ONE(HPM3));
    check("counter_start without one goes on", gives(sbi_call(SBI_PMU, START, ONE(HPM3)), SBI_SUCCESS, 0) && moves());
    check("from where it was", csr_read(hpmcounter3) >> 40 == 1);
    sbi_call(SBI_PMU, STOP, ONE(HPM3));

    check("a counter that has an event is not found for another",
          fails(sbi_call(SBI_PMU, CONFIG, ONE(HPM3), 0, CYCLES), SBI_ERR_NOT_SUPPORTED));
    check("but by SKIP_MATCH", gives(sbi_call(SBI_PMU, CONFIG, ONE(HPM3), SKIP_MATCH, CYCLES), SBI_SUCCESS, HPM3));
    check("its value stays", csr_read(hpmcounter3) >> 40 == 1);
    check("the next one found is the next one free",
          gives(sbi_call(SBI_PMU, CONFIG, EVERY, AUTO_START, CYCLES), SBI_SUCCESS, HPM4));
    check("AUTO_START has started it", fails(sbi_call(SBI_PMU, START, ONE(HPM4)), SBI_ERR_ALREADY_STARTED));
    check("a set with one that is stopped and one that counts: both stop",
          fails(sbi_call(SBI_PMU, STOP, HPM3, 3UL), SBI_ERR_ALREADY_STOPPED) &&
              fails(sbi_call(SBI_PMU, STOP, ONE(HPM4)), SBI_ERR_ALREADY_STOPPED));
    sbi_call(SBI_PMU, START, ONE(HPM4));
    check("a set with one that counts and one that is stopped: both count",
          fails(sbi_call(SBI_PMU, START, HPM3, 3UL), SBI_ERR_ALREADY_STARTED) && moves());
    check("counter_stop with RESET", gives(sbi_call(SBI_PMU, STOP, HPM3, 3UL, RESET), SBI_SUCCESS, 0));
    check("frees them", gives(sbi_call(SBI_PMU, CONFIG, ONE(HPM3), INHIBIT_MODES, CYCLES), SBI_SUCCESS, HPM3));
    check("also when they are stopped already",
          fails(sbi_call(SBI_PMU, STOP, ONE(HPM3), RESET), SBI_ERR_ALREADY_STOPPED) &&
              fails(sbi_call(SBI_PMU, START, ONE(HPM3)), SBI_ERR_INVALID_PARAM));
}

static void test_fixed(void)
{
    check("cycle and instret run from the start", fails(sbi_call(SBI_PMU, START, 0UL, 5UL), SBI_ERR_ALREADY_STARTED));
    check("they can be stopped", gives(sbi_call(SBI_PMU, STOP, 0UL, 5UL), SBI_SUCCESS, 0));
    csr_read(cycle);
    check("cycle stands still then", csr_read(cycle) == csr_read(cycle));
    check("and is found for cycles first", gives(sbi_call(SBI_PMU, CONFIG, EVERY, 0, CYCLES), SBI_SUCCESS, CYCLE));
    check("instret, for instructions", gives(sbi_call(SBI_PMU, CONFIG, EVERY, 0, INSTRUCTIONS), SBI_SUCCESS, INSTRET));
    check("instret cannot count cycles",
          fails(sbi_call(SBI_PMU, CONFIG, ONE(INSTRET), SKIP_MATCH, CYCLES), SBI_ERR_NOT_SUPPORTED));
    check("they go on", gives(sbi_call(SBI_PMU, START, 0UL, 5UL), SBI_SUCCESS, 0) && csr_read(cycle) != csr_read(cycle));
}

static bool invalid_config(unsigned long base, unsigned long mask, unsigned long flags, unsigned long event,
                           unsigned long data)
{
    return fails(sbi_call(SBI_PMU, CONFIG, base, mask, flags, event, data), SBI_ERR_INVALID_PARAM);
}

static void test_arguments(void)
{
    check("a set with a counter that does not exist is invalid: config_matching",
          invalid_config(0, 7, 0, CYCLES, 0) && invalid_config(first_fw, 1UL << 16, 0, CYCLES, 0));
    check("counter_start", fails(sbi_call(SBI_PMU, START, 0UL, 7UL), SBI_ERR_INVALID_PARAM));
    check("counter_stop", fails(sbi_call(SBI_PMU, STOP, 0UL, 7UL), SBI_ERR_INVALID_PARAM));
    check("so is a base far out", invalid_config(1UL << 40, 1, 0, CYCLES, 0) && invalid_config(-1UL, 2, 0, CYCLES, 0));
    check("and a set that runs over the end", invalid_config(40, 1UL << 40, 0, CYCLES, 0));
    check("an empty set has no counter for anything",
          fails(sbi_call(SBI_PMU, CONFIG, 0UL, 0UL, 0, CYCLES), SBI_ERR_NOT_SUPPORTED));
    check("counter_start without an event", fails(sbi_call(SBI_PMU, START, ONE(HPM5)), SBI_ERR_INVALID_PARAM));
    check("reserved flags are invalid: config_matching", invalid_config(ONE(HPM5), 1UL << 8, CYCLES, 0));
    check("counter_start", fails(sbi_call(SBI_PMU, START, ONE(CYCLE), 4), SBI_ERR_INVALID_PARAM));
    check("counter_stop", fails(sbi_call(SBI_PMU, STOP, ONE(CYCLE), 4), SBI_ERR_INVALID_PARAM));
    check("so are events of more than 20 bits", invalid_config(EVERY, 0, 1UL << 20 | CYCLES, 0));
    check("event data that is reserved", invalid_config(EVERY, 0, CYCLES, 1) && invalid_config(EVERY, 0, SET_TIMER, 1));
    check("raw events with a code", invalid_config(EVERY, 0, RAW | 1, 1));
    check("raw events of more than 48 bits", invalid_config(EVERY, 0, RAW, 1UL << 48));
    bool none = true;
    static const unsigned long nothing[] = { 0, BUS_CYCLES, 0x10, 0x10006, RAW, 0x70000, HFENCE_SENT,
                                             FIRMWARE_EVENT(22), FIRMWARE_EVENT(256), FIRMWARE_EVENT(65535) };
    for (unsigned i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++)
        none &= fails(sbi_call(SBI_PMU, CONFIG, EVERY, 0, nothing[i]), SBI_ERR_NOT_SUPPORTED);
    check("events that are not counted are not supported", none);
    check("no hardware counter counts the firmware's events",
          fails(sbi_call(SBI_PMU, CONFIG, UP_TO(first_fw), 0, SET_TIMER), SBI_ERR_NOT_SUPPORTED));
    check("none of the firmware's the hardware's",
          fails(sbi_call(SBI_PMU, CONFIG, first_fw, 0xffffUL, 0, CYCLES), SBI_ERR_NOT_SUPPORTED));
    check("there are no snapshots: counter_start", fails(sbi_call(SBI_PMU, START, ONE(CYCLE), INIT_SNAPSHOT), SBI_ERR_NO_SHMEM));
    check("counter_stop", fails(sbi_call(SBI_PMU, STOP, ONE(CYCLE), TAKE_SNAPSHOT), SBI_ERR_NO_SHMEM));
    check("snapshot_set_shmem is not supported",
          fails(sbi_call(SBI_PMU, SET_SHMEM, 0x80400000, 0, 0), SBI_ERR_NOT_SUPPORTED));
    check("nor is function 8", fails(sbi_call(SBI_PMU, 8), SBI_ERR_NOT_SUPPORTED));
    check("none of it has stopped a counter", csr_read(cycle) != csr_read(cycle));
}

static void test_firmware_counters(void)
{
    check("a firmware counter for set_timer",
          gives(sbi_call(SBI_PMU, CONFIG, EVERY, AUTO_START | CLEAR_VALUE, SET_TIMER), SBI_SUCCESS, first_fw));
    check("counts nothing by itself", gives(fw_read(first_fw), SBI_SUCCESS, 0));
    sbi_set_timer(~0UL);
    sbi_call(SBI_LEGACY_SET_TIMER, 0, ~0UL);
    check("counts two calls, one of them a legacy one", gives(fw_read(first_fw), SBI_SUCCESS, 2));
    check("fw_read_hi", gives(sbi_call(SBI_PMU, FW_READ_HI, first_fw), SBI_SUCCESS, 0));
    check("stops", gives(sbi_call(SBI_PMU, STOP, ONE(first_fw)), SBI_SUCCESS, 0));
    sbi_set_timer(~0UL);
    check("and keeps its value", gives(fw_read(first_fw), SBI_SUCCESS, 2));
    check("starts again with a value",
          gives(sbi_call(SBI_PMU, START, ONE(first_fw), SET_INIT_VALUE, -1UL), SBI_SUCCESS, 0));
    check("which it has", gives(fw_read(first_fw), SBI_SUCCESS, -1UL));
    sbi_set_timer(~0UL);
    check("and counts on from", gives(fw_read(first_fw), SBI_SUCCESS, 0));
    sbi_call(SBI_PMU, STOP, ONE(first_fw));
    sbi_call(SBI_PMU, START, ONE(first_fw));
    sbi_set_timer(~0UL);
    check("or from where it stood", gives(fw_read(first_fw), SBI_SUCCESS, 1));

    check("a counter for access faults of loads",
          gives(sbi_call(SBI_PMU, CONFIG, EVERY, AUTO_START, ACCESS_LOAD), SBI_SUCCESS, first_fw + 1));
    load_faults(FIRMWARE);
    check("counts one", gives(fw_read(first_fw + 1), SBI_SUCCESS, 1));
    bool fourteen = true;
    for (unsigned i = 0; i < 14; i++)
        fourteen &= sbi_call(SBI_PMU, CONFIG, EVERY, 0, ACCESS_LOAD).error == SBI_SUCCESS;
    check("there are 16", fourteen && fails(sbi_call(SBI_PMU, CONFIG, EVERY, 0, ACCESS_LOAD), SBI_ERR_NOT_SUPPORTED));
    check("fw_read of a hardware counter", fails(fw_read(HPM3), SBI_ERR_INVALID_PARAM));
    check("of none", fails(fw_read(count), SBI_ERR_INVALID_PARAM));
    check("fw_read_hi of a hardware counter", fails(sbi_call(SBI_PMU, FW_READ_HI, CYCLE), SBI_ERR_INVALID_PARAM));
    sbi_call(SBI_PMU, STOP, first_fw, 0xffffUL, RESET);
}

void test_pmu(void)
{
    section("PMU");
    test_info();
    test_hardware();
    test_fixed();
    test_arguments();
    test_firmware_counters();
}

/* --- two harts --- */

static volatile struct {
    bool fresh;
    unsigned long interrupts, fences;
} second;

/* Sleeps until the first hart interrupts it, and counts what it gets meanwhile. */
static void counting_hart(unsigned long hart)
{
    (void)hart;
    second.fresh = sbi_call(SBI_PMU, START, ONE(CYCLE)).error == SBI_ERR_ALREADY_STARTED &&
                   sbi_call(SBI_PMU, STOP, HPM3, (1UL << (count - 3)) - 1).error == SBI_ERR_ALREADY_STOPPED &&
                   sbi_call(SBI_PMU, START, ONE(first_fw)).error == SBI_ERR_INVALID_PARAM;
    sbi_call(SBI_PMU, CONFIG, EVERY, AUTO_START | CLEAR_VALUE, IPI_RECEIVED);
    sbi_call(SBI_PMU, CONFIG, EVERY, AUTO_START | CLEAR_VALUE, FENCE_I_RECEIVED);
    csr_write(sie, SIP_SSIP);
    sbi_call(SBI_HSM, 3, 0);
    csr_clear(sip, SIP_SSIP);
    second.interrupts = fw_read(first_fw).value;
    second.fences = fw_read(first_fw + 1).value;
    sbi_hart_stop();
}

void test_pmu_with(unsigned long other)
{
    static const unsigned long events[] = { IPI_SENT, FENCE_I_SENT, SFENCE_SENT, SFENCE_ASID_SENT, IPI_RECEIVED };
    unsigned long sent[5];
    bool right = true;

    for (unsigned i = 0; i < 2; i++) {
        second.fresh = false;
        start_hart(other, counting_hart);
        reaches(other, SUSPENDED);
        for (unsigned k = 0; k < 5; k++)
            sbi_call(SBI_PMU, CONFIG, first_fw, 0xffffUL, AUTO_START | CLEAR_VALUE, events[k]);
        for (unsigned k = 0; k < 3; k++)
            sbi_call(SBI_RFENCE, 0, 0, ~0UL);                   /* to all: one is oneself */
        sbi_call(SBI_RFENCE, 1, 1, other, 0, 0);
        sbi_call(SBI_RFENCE, 2, 1, other, 0, 0, 1);
        sbi_call(SBI_RFENCE, 2, 1, other, 0, 0, 2);
        sbi_send_ipi(1, other);
        reaches(other, STOPPED);
        sbi_send_ipi(1, other);                                 /* lost: it is stopped */
        for (unsigned k = 0; k < 5; k++)
            sent[k] = fw_read(first_fw + k).value;
        sbi_call(SBI_PMU, STOP, first_fw, 31UL, RESET);
        right &= sent[0] == 1 && sent[1] == 3 && sent[2] == 1 && sent[3] == 2 && sent[4] == 0;
        check(i == 0 ? "its counters are its own" : "it has forgotten them when it starts again", second.fresh);
        check("it counts what it receives", second.interrupts == 1 && second.fences == 3);
    }
    check("firmware counters count what is sent to others", right);
}
