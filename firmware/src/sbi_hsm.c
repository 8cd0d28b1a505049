/* SPDX-License-Identifier: MIT */
/*
 * Hart State Management extension (chapter 9).
 *
 *              hart_start (by another hart)              hart_suspend
 *     STOPPED -----------> START_PENDING -----> STARTED --------------> SUSPEND_PENDING
 *        ^                                      |    ^                        |
 *        |                                      |    |                        v  wfi
 *        +------------- STOP_PENDING <----------+    +-- RESUME_PENDING <-- SUSPENDED
 *                                    hart_stop               an interrupt that sie enables
 *
 * Only STOPPED -> START_PENDING is made by another hart, under a lock: two that start the same hart cannot both succeed.
 * Every other change is made by the hart itself.
 */
#include "hsm.h"

#include "csr.h"
#include "ipi.h"
#include "lock.h"
#include "platform.h"
#include "pmp.h"
#include "pmu.h"
#include "sbi.h"

enum { HART_START, HART_STOP, HART_GET_STATUS, HART_SUSPEND };

/* Suspend types, a 32-bit number */
#define SUSPEND_RETENTIVE 0x00000000u           /* the default one; up to 0x0fffffff is reserved */
#define SUSPEND_PLATFORM_RETENTIVE 0x10000000u  /* to 0x7fffffff: the platform's, of which there are none */
#define SUSPEND_NON_RETENTIVE 0x80000000u       /* the default one; up to 0x8fffffff is reserved */
#define SUSPEND_PLATFORM_NON_RETENTIVE 0x90000000u

static struct lock start_lock;

uint32_t hsm_state(const struct hart *hart)
{
    return __atomic_load_n(&hart->hsm_state, __ATOMIC_ACQUIRE);
}

void hsm_set_state(struct hart *hart, enum hsm_state state)
{
    __atomic_store_n(&hart->hsm_state, state, __ATOMIC_RELEASE);
}

bool hsm_is_awake(const struct hart *hart)
{
    uint32_t state = hsm_state(hart);
    return state != HSM_STOPPED && state != HSM_STOP_PENDING;
}

_Noreturn void hsm_park(void)
{
    struct hart *hart = this_hart();

    while (hsm_state(hart) != HSM_START_PENDING) {
        wfi();                          /* mstatus.MIE is off: an interrupt only ends the waiting */
        ipi_receive();
    }
    hsm_set_state(hart, HSM_STARTED);
    hart_enter(hart->start_addr, hart->start_arg, PRV_S);
}

static _Noreturn void stop(void)
{
    struct hart *hart = this_hart();

    hsm_set_state(hart, HSM_STOP_PENDING);
    csr_write(mie, MIP_MSIP);
    pmu_reset();
    if (hart_has_sstc())
        csr_write(CSR_STIMECMP, ~0UL);
    csr_write(mip, 0);                  /* what was meant for the supervisor that is gone */
    hsm_set_state(hart, HSM_STOPPED);
    hsm_park();
}

/* An address at which S-mode can execute: even, physical, and not ours. */
static bool address_valid(uint64_t addr)
{
    return addr % 2 == 0 && addr >> 56 == 0 && !firmware_overlaps(addr, 2);
}

static struct hart *find(uint64_t id)
{
    return id < MAX_HARTS && (platform_harts() >> id & 1) ? &harts[id] : 0;
}

static struct sbiret start(uint64_t id, uint64_t addr, uint64_t arg)
{
    struct hart *hart = find(id);

    if (!hart)
        return sbi_error(SBI_ERR_INVALID_PARAM);
    if (!address_valid(addr))
        return sbi_error(SBI_ERR_INVALID_ADDRESS);

    lock_take(&start_lock);
    uint32_t state = hsm_state(hart);
    if (state == HSM_STOPPED) {
        hart->start_addr = addr;
        hart->start_arg = arg;
        hsm_set_state(hart, HSM_START_PENDING);
    }
    lock_release(&start_lock);

    if (state == HSM_STOP_PENDING)
        return sbi_error(SBI_ERR_FAILED);
    if (state != HSM_STOPPED)
        return sbi_error(SBI_ERR_ALREADY_AVAILABLE);
    ipi_send(hart, IPI_WAKE);
    return sbi_value(0);
}

/*
 * Wait as WFI does: until an interrupt that the supervisor has enabled is pending. M-mode's own interrupts are served
 * meanwhile, and may turn into one of those.
 */
static void wait_for_supervisor_interrupt(void)
{
    for (;;) {
        unsigned long pending = csr_read(mip) & csr_read(mie);
        if (pending & MIP_MSIP)
            ipi_receive();
        if (pending & MIP_MTIP)
            time_expired();
        if (pending & (MIP_SSIP | MIP_STIP | MIP_SEIP))
            return;
        if (!(pending & (MIP_MSIP | MIP_MTIP)))
            wfi();
    }
}

static struct sbiret suspend(uint32_t type, uint64_t addr, uint64_t arg)
{
    struct hart *hart = this_hart();

    if (type != SUSPEND_RETENTIVE && type != SUSPEND_NON_RETENTIVE) {
        bool of_platform = (type >= SUSPEND_PLATFORM_RETENTIVE && type < SUSPEND_NON_RETENTIVE) ||
                           type >= SUSPEND_PLATFORM_NON_RETENTIVE;
        return sbi_error(of_platform ? SBI_ERR_NOT_SUPPORTED : SBI_ERR_INVALID_PARAM);
    }
    if (type == SUSPEND_NON_RETENTIVE && !address_valid(addr))
        return sbi_error(SBI_ERR_INVALID_ADDRESS);

    hsm_set_state(hart, HSM_SUSPENDED);
    wait_for_supervisor_interrupt();
    hsm_set_state(hart, HSM_STARTED);
    if (type == SUSPEND_NON_RETENTIVE)
        hart_enter(addr, arg, PRV_S);
    return sbi_value(0);
}

struct sbiret sbi_hsm(unsigned long fid, const uint64_t args[6])
{
    struct hart *hart;

    switch (fid) {
    case HART_START:
        return start(args[0], args[1], args[2]);
    case HART_STOP:
        stop();
    case HART_GET_STATUS:
        hart = find(args[0]);
        return hart ? sbi_value(hsm_state(hart)) : sbi_error(SBI_ERR_INVALID_PARAM);
    case HART_SUSPEND:
        return suspend((uint32_t)args[0], args[1], args[2]);
    default:
        return sbi_error(SBI_ERR_NOT_SUPPORTED);
    }
}
