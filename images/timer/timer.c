/* SPDX-License-Identifier: MIT */
/*
 * Timer interrupts. The firmware is asked for the first; each one asks for the next, a fixed distance after the last deadline, so
 * that no time is lost between them. Meanwhile the hart sleeps in wfi.
 */
#include "csr.h"
#include "print.h"
#include "sbi.h"
#include "trap.h"

#define TICKS 10
#define PERIOD 10000            /* of the 10 MHz timebase: 1 ms */

static volatile unsigned ticks, early;
static uint64_t deadline;

static uint64_t now(void)
{
    return csr_read(time);
}

void trap(struct trap_frame *frame, uint64_t scause, uint64_t stval)
{
    if (scause != IRQ_TIMER)
        trap_unexpected(frame, scause, stval);
    if (now() < deadline)
        early++;
    ticks++;
    deadline = ticks < TICKS ? deadline + PERIOD : ~0UL;
    sbi_set_timer(deadline);            /* also takes back the interrupt that brought us here */
}

int main(void)
{
    trap_install();
    deadline = now() + PERIOD;
    sbi_set_timer(deadline);
    csr_set(sie, SIP_STIP);

    for (unsigned seen = 1; seen <= TICKS; seen++) {
        wait_until(ticks >= seen);
        print("tick %u\n", seen);
    }
    bool pending = csr_read(sip) & SIP_STIP;
    print("%u ticks, %u before their time, %s pending\n", ticks, early, pending ? "one still" : "none");
    return ticks != TICKS || early || pending;
}
