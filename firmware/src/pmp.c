/* SPDX-License-Identifier: MIT */
/*
 * Two entries, the lowest wins:
 *
 *   0   NAPOT  the firmware       ---    S and U have no business there; M is not bound by an unlocked entry
 *   1   NAPOT  everything         RWX    without it, S and U could access nothing at all
 */
#include "pmp.h"

#include "csr.h"

#define PMP_R 0x01
#define PMP_W 0x02
#define PMP_X 0x04
#define PMP_NAPOT 0x18

extern char _fw_start[], _fw_limit[];   /* from link.ld */

static bool active;

uint64_t firmware_base(void)
{
    return (uint64_t)_fw_start;
}

uint64_t firmware_size(void)
{
    return (uint64_t)(_fw_limit - _fw_start);
}

bool firmware_overlaps(uint64_t addr, uint64_t size)
{
    if (size == 0)
        return false;
    uint64_t last = addr + size - 1;
    return last < addr || (addr < firmware_base() + firmware_size() && last >= firmware_base());
}

/* base, with as many low ones as the region has address bits, less 3; in units of 4 bytes */
static unsigned long napot(uint64_t base, uint64_t size)
{
    return (base | (size / 2 - 1)) >> 2;
}

void pmp_init(void)
{
    unsigned long firmware = napot(firmware_base(), firmware_size());

    if (!csr_try_write(pmpaddr0, firmware) || csr_read(pmpaddr0) != firmware)
        return;                         /* no PMP, or one too coarse for us: it stays off, and allows everything */
    csr_write(pmpaddr1, ~0UL);
    csr_write(pmpcfg0, PMP_NAPOT | (PMP_NAPOT | PMP_R | PMP_W | PMP_X) << 8);
    __asm__ volatile("sfence.vma" : : : "memory");
    active = true;
}

bool pmp_active(void)
{
    return active;
}
