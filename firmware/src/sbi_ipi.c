/* SPDX-License-Identifier: MIT */
/* IPI extension (chapter 7): the supervisor's software interrupt on other harts. Stopped harts do not take any. */
#include "csr.h"
#include "hart.h"
#include "hsm.h"
#include "ipi.h"
#include "pmu.h"
#include "sbi.h"

enum { SEND_IPI };

void ipi_send_supervisor(uint32_t mask)
{
    for (unsigned i = 0; i < MAX_HARTS; i++) {
        if (!(mask >> i & 1))
            continue;
        if (&harts[i] == this_hart()) {
            csr_set(mip, MIP_SSIP);
        } else if (hsm_is_awake(&harts[i])) {
            pmu_count(FW_IPI_SENT);
            ipi_send(&harts[i], IPI_S_SOFT);
        }
    }
}

struct sbiret sbi_ipi(unsigned long fid, const uint64_t args[6])
{
    uint32_t mask;

    if (fid != SEND_IPI)
        return sbi_error(SBI_ERR_NOT_SUPPORTED);
    long error = sbi_hart_mask(args[0], args[1], &mask);
    if (error)
        return sbi_error(error);
    ipi_send_supervisor(mask);
    return sbi_value(0);
}
