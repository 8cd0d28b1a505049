/* SPDX-License-Identifier: MIT */
/*
 * The mailbox behind the software interrupt. The sender puts its bits in first and rings after that; the receiver silences
 * the bell first and empties the box after that. So a bit that is put in at any moment is either taken out now, or rings.
 */
#include "ipi.h"

#include "csr.h"
#include "platform.h"
#include "pmu.h"
#include "rfence.h"

void ipi_send(struct hart *to, uint32_t what)
{
    __atomic_fetch_or(&to->ipi_pending, what, __ATOMIC_RELEASE);
    platform_raise_msip(to->id);
}

void ipi_receive(void)
{
    struct hart *hart = this_hart();

    platform_clear_msip(hart->id);
    uint32_t what = __atomic_exchange_n(&hart->ipi_pending, 0, __ATOMIC_ACQUIRE);
    if (what & IPI_S_SOFT) {
        pmu_count(FW_IPI_RECEIVED);
        csr_set(mip, MIP_SSIP);
    }
    rfence_receive();
}
