/* SPDX-License-Identifier: MIT */
/*
 * Every hart has one request of its own, since it waits for it to be done, and every hart has a word with one bit per
 * hart whose request it has still to do. So there is no queue that could be full, and nothing is allocated.
 *
 *     sender                                     receiver
 *     fill in requests[me], outstanding = n
 *     set bit `me` in fence_from of each  ---->  take all bits of fence_from
 *     raise msip of each                         for each bit: do requests[bit], then outstanding--
 *     until outstanding is 0:             <----
 *         be a receiver as well
 *
 * The last line is why two harts that fence each other at the same time both get on: traps are off in M-mode, so whoever
 * waits must look into its own box.
 *
 * Harts that are stopped are left out. They do both kinds of fence on their way back into S-mode (hart_enter), and
 * a hart that is starting counts as awake from before that point.
 */
#include "rfence.h"

#include "csr.h"
#include "hart.h"
#include "hsm.h"
#include "ipi.h"
#include "pmu.h"

#define PAGE_SIZE 4096
#define MAX_PAGES 64                    /* from here on, one fence of everything is cheaper */

static struct fence_request requests[MAX_HARTS];

static const struct {
    enum firmware_event sent, received;
} events[] = {
    [FENCE_I] = { FW_FENCE_I_SENT, FW_FENCE_I_RECEIVED },
    [FENCE_VMA] = { FW_SFENCE_VMA_SENT, FW_SFENCE_VMA_RECEIVED },
    [FENCE_VMA_ASID] = { FW_SFENCE_VMA_ASID_SENT, FW_SFENCE_VMA_ASID_RECEIVED },
};

static void fence_locally(const struct fence_request *request)
{
    uint64_t size = request->size;
    bool everything = size == ~0UL || size > MAX_PAGES * PAGE_SIZE || (request->start == 0 && size == 0);

    if (request->kind == FENCE_I) {
        __asm__ volatile("fence.i" : : : "memory");
    } else if (request->kind == FENCE_VMA) {
        if (everything)
            __asm__ volatile("sfence.vma" : : : "memory");
        for (uint64_t done = 0; !everything && done < size; done += PAGE_SIZE)
            __asm__ volatile("sfence.vma %0" : : "r"(request->start + done) : "memory");
    } else {
        if (everything)
            __asm__ volatile("sfence.vma zero, %0" : : "r"(request->asid) : "memory");
        for (uint64_t done = 0; !everything && done < size; done += PAGE_SIZE)
            __asm__ volatile("sfence.vma %0, %1" : : "r"(request->start + done), "r"(request->asid) : "memory");
    }
}

void rfence_receive(void)
{
    struct hart *hart = this_hart();
    uint32_t from = __atomic_exchange_n(&hart->fence_from, 0, __ATOMIC_ACQUIRE);

    for (unsigned i = 0; from; i++, from >>= 1) {
        if (from & 1) {
            pmu_count(events[requests[i].kind].received);
            fence_locally(&requests[i]);
            __atomic_fetch_sub(&requests[i].outstanding, 1, __ATOMIC_RELEASE);
        }
    }
}

void rfence(uint32_t mask, enum fence_kind kind, uint64_t start, uint64_t size, uint64_t asid)
{
    struct hart *self = this_hart();
    struct fence_request *request = &requests[self->id];
    uint32_t others = 0, count = 0;

    for (unsigned i = 0; i < MAX_HARTS; i++) {
        if ((mask >> i & 1) && i != self->id && hsm_is_awake(&harts[i])) {
            others |= 1u << i;
            count++;
        }
    }

    uint64_t page_offset = start % PAGE_SIZE;       /* whole pages, so that the last one is not missed */
    if (size != ~0UL && page_offset && size <= ~0UL - page_offset) {
        start -= page_offset;
        size += page_offset;
    }
    *request = (struct fence_request){ kind, start, size, asid, count };
    __asm__ volatile("fence rw, rw" : : : "memory");        /* page tables and code before the fences they call for */
    for (unsigned i = 0; i < MAX_HARTS; i++) {
        if (others >> i & 1) {
            pmu_count(events[kind].sent);
            __atomic_fetch_or(&harts[i].fence_from, 1u << self->id, __ATOMIC_RELEASE);
            ipi_send(&harts[i], IPI_FENCE);
        }
    }
    if (mask >> self->id & 1)
        fence_locally(request);
    while (__atomic_load_n(&request->outstanding, __ATOMIC_ACQUIRE))
        rfence_receive();
}
