/* SPDX-License-Identifier: MIT */
/*
 * Several harts. The first one starts the others through HSM and plays ping-pong with each by inter-processor interrupts; then
 * one interrupt travels around the ring of all harts; then everybody stops. All of it twice, to show that a stopped hart
 * starts again. The text is the same for any number of harts from 2 to 8.
 */
#include "csr.h"
#include "print.h"
#include "sbi.h"
#include "smp.h"
#include "trap.h"

#define ROUNDS 100
#define LAPS 20

enum { STARTED = 0, STOPPED = 1 };

static struct {
    volatile unsigned interrupts;       /* taken by this hart */
    volatile unsigned up;               /* it runs, and takes interrupts */
    volatile unsigned done;
    unsigned long next;                 /* around the ring */
} state[MAX_HARTS] __attribute__((aligned(64)));

static unsigned long first;
static unsigned others;

static unsigned long me(void)
{
    return csr_read(sscratch);
}

void trap(struct trap_frame *frame, uint64_t scause, uint64_t stval)
{
    if (scause != IRQ_SOFT)
        trap_unexpected(frame, scause, stval);
    csr_clear(sip, SIP_SSIP);
    __atomic_fetch_add(&state[me()].interrupts, 1, __ATOMIC_SEQ_CST);
}

static void take_interrupts(unsigned long hart)
{
    csr_write(sscratch, hart);
    trap_install();
    csr_set(sie, SIP_SSIP);
    csr_set(sstatus, SSTATUS_SIE);
}

static void ping(unsigned long hart)
{
    sbi_send_ipi(1, hart);
}

/* Another hart: answer ROUNDS pings of the first, pass LAPS on around the ring, stop. */
static void player(unsigned long hart)
{
    take_interrupts(hart);
    state[hart].up = 1;
    ping(first);
    for (unsigned n = 1; n <= ROUNDS + LAPS; n++) {
        wait_until(state[hart].interrupts >= n);
        ping(n <= ROUNDS ? first : state[hart].next);
    }
    state[hart].done = 1;
    sbi_hart_stop();
}

static void check(const char *what, bool good)
{
    print("  %s: %s\n", what, good ? "yes" : "NO");
    if (!good)
        exit(1);
}

static bool exists(unsigned long hart)
{
    return sbi_hart_status(hart).error == SBI_SUCCESS;
}

static bool status_is(unsigned long hart, unsigned long status)
{
    struct sbiret ret = sbi_hart_status(hart);
    return ret.error == SBI_SUCCESS && ret.value == status;
}

#define for_each_other(hart) \
    for (unsigned long hart = 0; hart < MAX_HARTS; hart++) \
        if (hart != first && exists(hart))

static void play(void)
{
    unsigned expected = 0, last = first;
    bool stopped = true, started = true, again = true, exact = true;

    for_each_other(hart) {
        state[last].next = hart;
        last = hart;
        state[hart].interrupts = state[hart].up = state[hart].done = 0;
        stopped &= status_is(hart, STOPPED);
    }
    state[last].next = first;
    state[first].interrupts = 0;
    check("all others were stopped", stopped);

    for_each_other(hart) {
        expected++;
        started &= start_hart(hart, player).error == SBI_SUCCESS;
        wait_until(state[first].interrupts >= expected && state[hart].up);
        started &= status_is(hart, STARTED);
        again &= start_hart(hart, player).error == SBI_ERR_ALREADY_AVAILABLE;
    }
    check("they started and said so", started);
    check("none could be started twice", again);

    for_each_other(hart) {
        for (unsigned round = 1; round <= ROUNDS; round++) {
            ping(hart);
            expected++;
            wait_until(state[first].interrupts >= expected);
        }
        exact &= state[hart].interrupts == ROUNDS;
    }
    print("  ping-pong, %u rounds with each\n", ROUNDS);
    check("one interrupt per ping", exact);
    check("one interrupt per pong", state[first].interrupts == expected);

    for (unsigned lap = 1; lap <= LAPS; lap++) {
        ping(state[first].next);
        expected++;
        wait_until(state[first].interrupts >= expected);
    }
    print("  around the ring of all, %u laps\n", LAPS);
    exact = state[first].interrupts == expected;
    for_each_other(hart) {
        while (!status_is(hart, STOPPED))
            ;
        exact &= state[hart].done && state[hart].interrupts == ROUNDS + LAPS;
    }
    check("one interrupt per hart and lap", exact);
    check("all others stopped again", true);
}

int main(unsigned long hart)
{
    first = hart;
    take_interrupts(hart);
    for_each_other(other)
        others++;
    if (others == 0) {
        print("This needs two harts or more.\n");
        return 1;
    }
    for (unsigned game = 1; game <= 2; game++) {
        print("Game %u\n", game);
        play();
    }
    return 0;
}
