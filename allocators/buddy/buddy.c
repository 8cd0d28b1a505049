/* SPDX-License-Identifier: MIT */
/*
 * A binary buddy allocator of frames (Knowlton 1965; Knuth, The Art of Computer Programming, 2.5).
 *
 *     order    0     1     2     3   ...     a block of order k is 2^k frames, at a multiple of 2^k frames
 *     lists    │     │     │     │
 *              ▼     ▼     ▼     ▼
 *            block block   -   block         free blocks; the links are in their first 16 bytes
 *              ▲▼                            two blocks of order k, which differ in bit k of their frame numbers only, are
 *            block                           buddies: both free, they become one block of order k + 1
 *
 * Which frames begin a free block is in `free_order`, one byte a frame, so that a buddy is looked up without a search. Every
 * call takes O(number of orders) steps for each power of two that its size is the sum of.
 */
#include <hartwell/lab.h>

#define ORDERS          20                      /* the largest block: 2 GiB */
#define FRAMES          (1ul << (ORDERS - 1))   /* the frames there may be, from the start of RAM on */

struct block {
    struct block *next, *prev;
};

static struct hartwell_lock lock;               /* of all that follows */
static struct block *lists[ORDERS];
static uint8_t free_order[FRAMES];              /* 1 + order of the free block that begins at the frame, 0 if none does */

static struct block *block_of(size_t frame)
{
    return hartwell_virtual(HARTWELL_RAM + (frame << HARTWELL_PAGE_SHIFT));
}

static size_t frame_of(const struct block *block)
{
    return (hartwell_physical(block) - HARTWELL_RAM) >> HARTWELL_PAGE_SHIFT;
}

/* The order of the smallest block that has `frames` frames. */
static unsigned order_of(size_t frames)
{
    unsigned order = 0;
    while (((size_t)1 << order) < frames)
        order++;
    return order;
}

static void push(size_t frame, unsigned order)
{
    struct block *block = block_of(frame);
    block->next = lists[order];
    block->prev = NULL;
    if (block->next)
        block->next->prev = block;
    lists[order] = block;
    free_order[frame] = (uint8_t)(order + 1);
}

static void unlink(size_t frame, unsigned order)
{
    struct block *block = block_of(frame);
    if (block->prev)
        block->prev->next = block->next;
    else
        lists[order] = block->next;
    if (block->next)
        block->next->prev = block->prev;
    free_order[frame] = 0;
}

/* Whether the frame is in a free block: that begins at the frame, or at a multiple of two frames, or of four, ... */
static int is_free(size_t frame)
{
    for (unsigned order = 0; order < ORDERS; order++)
        if (free_order[frame >> order << order] > order)
            return 1;
    return 0;
}

/* Make a block free, put together with its buddy, and the buddy of both, as far as they are free. */
static void free_block(size_t frame, unsigned order)
{
    for (; order + 1 < ORDERS; order++) {
        size_t buddy = frame ^ ((size_t)1 << order);
        if (free_order[buddy] != order + 1)
            break;
        unlink(buddy, order);
        frame &= ~((size_t)1 << order);
    }
    push(frame, order);
}

/* Make the frames from `frame` up to `end` free, in blocks as large as their alignment and number allow. */
static void free_range(size_t frame, size_t end)
{
    while (frame < end) {
        unsigned order = 0;
        while (!(frame >> order & 1) && frame + ((size_t)2 << order) <= end)
            order++;
        free_block(frame, order);
        frame += (size_t)1 << order;
    }
}

/* A block of at least `order`, taken from its list and cut down to `order`; FRAMES if there is none. */
static size_t take(unsigned order)
{
    unsigned from = order;
    while (from < ORDERS && !lists[from])
        from++;
    if (from >= ORDERS)
        return FRAMES;
    size_t frame = frame_of(lists[from]);
    unlink(frame, from);
    while (from > order) {                      /* the upper half stays free, each time */
        from--;
        push(frame + ((size_t)1 << from), from);
    }
    return frame;
}

uintptr_t hartwell_frame_alloc(size_t size, size_t align)
{
    size_t frames = size >> HARTWELL_PAGE_SHIFT;
    unsigned order = order_of((align > size ? align : size) >> HARTWELL_PAGE_SHIFT);
    if (!frames || order >= ORDERS)
        return 0;
    hartwell_lock(&lock);
    size_t frame = take(order);
    if (frame < FRAMES)
        free_range(frame + frames, frame + ((size_t)1 << order));      /* what is beyond `size` */
    hartwell_unlock(&lock);
    return frame < FRAMES ? HARTWELL_RAM + (frame << HARTWELL_PAGE_SHIFT) : 0;
}

void hartwell_frame_dealloc(uintptr_t paddr, size_t size)
{
    size_t frame = (paddr - HARTWELL_RAM) >> HARTWELL_PAGE_SHIFT, frames = size >> HARTWELL_PAGE_SHIFT;
    if (paddr % HARTWELL_PAGE_SIZE || size % HARTWELL_PAGE_SIZE)
        hartwell_panic("buddy: memory that is no whole pages");
    if (frame >= FRAMES || frames > FRAMES - frame)
        hartwell_panic("buddy: memory that is not in the first 2 GiB of RAM");
    hartwell_lock(&lock);
    if (frames && is_free(frame))
        hartwell_panic("buddy: memory that is free already");
    free_range(frame, frame + frames);
    hartwell_unlock(&lock);
}

void hartwell_frame_add_free_memory(uintptr_t paddr, size_t size)
{
    hartwell_frame_dealloc(paddr, size);
}
