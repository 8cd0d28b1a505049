/* SPDX-License-Identifier: MIT */
/*
 * Timer extension (chapter 6).
 *
 * A hart with Sstc compares by itself: the supervisor's stimecmp is all there is to set. Otherwise the CLINT's comparator
 * interrupts M-mode, which passes it on as STIP. MTIP stays raised as long as the comparator is not moved, so
 * M-mode stops listening (MTIE) until the supervisor sets the next one.
 */
#include "csr.h"
#include "hart.h"
#include "platform.h"
#include "pmu.h"
#include "sbi.h"

enum { SET_TIMER };

void time_set(uint64_t when)
{
    pmu_count(FW_SET_TIMER);
    if (hart_has_sstc()) {
        csr_write(CSR_STIMECMP, when);
        return;
    }
    platform_set_timer(this_hart()->id, when);
    csr_clear(mip, MIP_STIP);
    csr_set(mie, MIP_MTIP);
}

void time_expired(void)
{
    csr_clear(mie, MIP_MTIP);
    csr_set(mip, MIP_STIP);
}

struct sbiret sbi_time(unsigned long fid, const uint64_t args[6])
{
    if (fid != SET_TIMER)
        return sbi_error(SBI_ERR_NOT_SUPPORTED);
    time_set(args[0]);
    return sbi_value(0);
}
