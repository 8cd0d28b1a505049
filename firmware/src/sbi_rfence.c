/* SPDX-License-Identifier: MIT */
/* RFENCE extension (chapter 8). The hypervisor's four functions are not supported. */
#include "rfence.h"
#include "sbi.h"

enum { REMOTE_FENCE_I, REMOTE_SFENCE_VMA, REMOTE_SFENCE_VMA_ASID };

struct sbiret sbi_rfence(unsigned long fid, const uint64_t args[6])
{
    uint64_t start = args[2], size = args[3], asid = args[4];
    uint32_t mask;

    if (fid > REMOTE_SFENCE_VMA_ASID)
        return sbi_error(SBI_ERR_NOT_SUPPORTED);
    long error = sbi_hart_mask(args[0], args[1], &mask);
    if (error)
        return sbi_error(error);

    if (fid == REMOTE_FENCE_I) {
        rfence(mask, FENCE_I, 0, 0, 0);
        return sbi_value(0);
    }
    if (size != 0 && size != ~0UL && start + size - 1 < start)
        return sbi_error(SBI_ERR_INVALID_ADDRESS);      /* beyond the end of the address space */
    rfence(mask, fid == REMOTE_SFENCE_VMA ? FENCE_VMA : FENCE_VMA_ASID, start, size, asid);
    return sbi_value(0);
}
