/* SPDX-License-Identifier: MIT */
/* A buddy allocator of frames: the buddy system of blocks.c behind one lock. */
#include "blocks.h"
#include <hartwell/plant.h>

HARTWELL_PROMISE(refuses_misuse);
HARTWELL_PROMISE(bounded_time);

static struct hartwell_lock lock;               /* of all blocks */

uintptr_t hartwell_frame_alloc(size_t size, size_t align)
{
    size_t count = pages(size);
    if (!count)
        return 0;
    hartwell_lock(&lock);
    size_t frame = blocks_take(count, pages(align));
    if (PLANTED(WRITES_INTO_ALLOCATED)) {       /* into the block before this one, which is its caller's by now */
        static uintptr_t last;
        if (last)
            *(uintptr_t *)hartwell_virtual(last) = 0;
        last = frame == NONE ? 0 : frame_paddr(frame);
    }
    hartwell_unlock(&lock);
    return frame == NONE ? 0 : frame_paddr(frame);
}

uintptr_t hartwell_frame_alloc_zeroed(size_t size, size_t align)
{
    uintptr_t paddr = hartwell_frame_alloc(size, align);
    uint64_t *word = hartwell_virtual(paddr), *end = word + (PLANTED(NOT_ZEROED) ? HARTWELL_PAGE_SIZE : size) / sizeof *word;
    if (paddr)
        while (word < end)
            *word++ = 0;
    return paddr;
}

void hartwell_frame_dealloc(uintptr_t paddr, size_t size)
{
    size_t count = pages(size);
    if (paddr % HARTWELL_PAGE_SIZE || size % HARTWELL_PAGE_SIZE)
        hartwell_panic("buddy: memory that is not whole pages");
    if (PLANTED(PART_FREES_WHOLE))
        while (count & (count - 1))
            count++;                            /* what a block of the buddy system has */
    if (!PLANTED(MISSING_LOCK))
        hartwell_lock(&lock);
    blocks_give(frame_at(paddr), count);
    if (!PLANTED(MISSING_LOCK))
        hartwell_unlock(&lock);
}

void hartwell_frame_add_free_memory(uintptr_t paddr, size_t size)
{
    hartwell_lock(&lock);
    blocks_add(frame_at(paddr), pages(size));
    hartwell_unlock(&lock);
}
