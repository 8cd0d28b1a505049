/* SPDX-License-Identifier: MIT */
/* A buddy allocator of frames: the buddy system of blocks.c behind one lock. */
#include "blocks.h"

static struct hartwell_lock lock;               /* of all blocks */

uintptr_t hartwell_frame_alloc(size_t size, size_t align)
{
    size_t count = pages(size);
    if (!count)
        return 0;
    hartwell_lock(&lock);
    size_t frame = blocks_take(count, pages(align));
    hartwell_unlock(&lock);
    return frame == NONE ? 0 : frame_paddr(frame);
}

void hartwell_frame_dealloc(uintptr_t paddr, size_t size)
{
    if (paddr % HARTWELL_PAGE_SIZE || size % HARTWELL_PAGE_SIZE)
        hartwell_panic("buddy: memory that is not whole pages");
    hartwell_lock(&lock);
    blocks_give(frame_at(paddr), pages(size));
    hartwell_unlock(&lock);
}

void hartwell_frame_add_free_memory(uintptr_t paddr, size_t size)
{
    hartwell_frame_dealloc(paddr, size);
}
