/* SPDX-License-Identifier: MIT */
/*
 * Legacy extensions (chapter 5), each an extension id of its own. The result is in a0 alone: a1 is preserved.
 *
 * Hart masks are passed by virtual address. The mask is read with the caller's rights, and if that faults, the fault is
 * the caller's, at its ecall. A null address means all harts.
 */
#include "console.h"
#include "csr.h"
#include "hart.h"
#include "platform.h"
#include "rfence.h"
#include "sbi.h"
#include "unpriv.h"

enum {
    SET_TIMER, CONSOLE_PUTCHAR, CONSOLE_GETCHAR, CLEAR_IPI, SEND_IPI, REMOTE_FENCE_I, REMOTE_SFENCE_VMA,
    REMOTE_SFENCE_VMA_ASID, SHUTDOWN,
};

/* The set of existing harts in the mask at `addr`. False if the caller has been sent to its trap handler instead. */
static bool read_mask(struct trap_frame *frame, uint64_t addr, uint32_t *harts)
{
    struct trap_info fault;
    uint64_t mask = 0;

    if (addr == 0) {
        *harts = platform_harts();
        return true;
    }
    for (unsigned i = 0; i < 8; i++) {
        mask |= unpriv_load8(addr + i, as_trapped(frame), &fault) << (8 * i);
        if (faulted(&fault)) {
            trap_redirect(frame, fault);
            return false;
        }
    }
    *harts = (uint32_t)mask & platform_harts();
    return true;
}

void sbi_legacy(struct trap_frame *frame)
{
    const uint64_t *args = &frame->x[REG_A0];
    long result = SBI_SUCCESS;
    uint32_t mask;

    switch (frame->x[REG_A7]) {
    case SET_TIMER:
        time_set(args[0]);
        break;
    case CONSOLE_PUTCHAR:
        console_lock();
        console_putc((uint8_t)args[0]);
        console_unlock();
        break;
    case CONSOLE_GETCHAR:
        console_lock();
        result = console_getc();
        console_unlock();
        break;
    case CLEAR_IPI:
        result = (csr_read(mip) & MIP_SSIP) != 0;
        csr_clear(mip, MIP_SSIP);
        break;
    case SEND_IPI:
        if (!read_mask(frame, args[0], &mask))
            return;
        ipi_send_supervisor(mask);
        break;
    case REMOTE_FENCE_I:
        if (!read_mask(frame, args[0], &mask))
            return;
        rfence(mask, FENCE_I, 0, 0, 0);
        break;
    case REMOTE_SFENCE_VMA:
        if (!read_mask(frame, args[0], &mask))
            return;
        rfence(mask, FENCE_VMA, args[1], args[2], 0);
        break;
    case REMOTE_SFENCE_VMA_ASID:
        if (!read_mask(frame, args[0], &mask))
            return;
        rfence(mask, FENCE_VMA_ASID, args[1], args[2], args[3]);
        break;
    case SHUTDOWN:
        platform_stop(STOP_PASS);
    }
    frame->mepc += 4;
    frame->x[REG_A0] = (uint64_t)result;
}
