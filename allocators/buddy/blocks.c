/* SPDX-License-Identifier: MIT */
/*
 * The binary buddy system (Knowlton 1965; Knuth, The Art of Computer Programming, 2.5).
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
#include "blocks.h"
#include <hartwell/plant.h>

struct block {
    struct block *next, *prev;
};

static struct block *lists[ORDERS];
static uint8_t free_order[FRAMES];              /* 1 + order of the free block that begins at the frame, 0 if none does */
static size_t memory = FRAMES, end_of_memory;   /* the lowest frame that there is, and the one behind the highest */

static struct block *block_of(size_t frame)
{
    return hartwell_virtual(frame_paddr(frame));
}

static size_t frame_of(const struct block *block)
{
    return frame_at(hartwell_physical(block));
}

/* The order of the smallest block that has `frames` frames. */
static unsigned order_of(size_t frames)
{
    unsigned order = 0;
    while (((size_t)1 << order) < frames)
        order++;
    if (PLANTED(OFF_BY_ONE_ORDER) && ((size_t)1 << order) != frames)
        order--;
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
    else if (block->next || !PLANTED(LAST_NOT_POPPED))
        lists[order] = block->next;
    if (block->next && !PLANTED(UNLINK_KEEPS_PREV))
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
    if (PLANTED(SLOW_FREE))
        for (struct block *block = lists[order]; block; block = block->next)
            if (block == block_of(frame))
                hartwell_panic("buddy: a block that is in the list already");
    for (; order + 1 < ORDERS && !PLANTED(MISSING_MERGE); order++) {
        size_t size = (size_t)1 << order, buddy = PLANTED(WRONG_BUDDY) ? frame + size : frame ^ size;
        if (PLANTED(MERGE_PAST_END) && buddy >= end_of_memory)
            continue;                           /* with what is not there */
        if (PLANTED(MERGE_PARTLY_FREE) ? !free_order[buddy] : free_order[buddy] != order + 1)
            break;
        unlink(buddy, PLANTED(MERGE_PARTLY_FREE) ? free_order[buddy] - 1u : order);
        frame &= ~size;
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

/* A block of `order`, cut off the smallest free block that is large enough; NONE if there is none. */
static size_t take(unsigned order)
{
    unsigned from = order;
    while (from < ORDERS && !lists[from])
        from++;
    if (from >= ORDERS || (PLANTED(GIVES_UP_EARLY) && from - order > 8))
        return NONE;
    size_t frame = frame_of(lists[from]);
    unlink(frame, from);
    while (from > order) {                      /* the upper half stays free, each time */
        from--;
        push(frame + ((size_t)1 << from), PLANTED(SPLIT_KEEPS_ORDER) && from == 3 ? from + 1 : from);
    }
    return frame;
}

size_t blocks_take(size_t count, size_t align)
{
    unsigned order = order_of(align > count && !PLANTED(ALIGN_IGNORED) ? align : count);
    size_t frame = order < ORDERS ? take(order) : NONE;
    if (frame != NONE && !PLANTED(TAIL_LOST))   /* what is beyond `count` goes back */
        free_range(frame + count - PLANTED(TAIL_FREED_TOO_EARLY), frame + ((size_t)1 << order));
    return frame;
}

void blocks_add(size_t frame, size_t count)
{
    if (frame >= FRAMES || count > FRAMES - frame)
        hartwell_panic("buddy: memory that is not in the first 2 GiB of RAM");
    if (frame < memory)
        memory = frame;
    if (frame + count > end_of_memory)
        end_of_memory = frame + count;
    if (PLANTED(ADDED_REMAINDER_LOST))
        count = (size_t)1 << order_of(count / 2 + 1);
    blocks_give(frame, count);
}

void blocks_give(size_t frame, size_t count)
{
    if (frame < memory || frame >= end_of_memory || count > end_of_memory - frame)
        hartwell_panic("buddy: memory that is not ours");
    if (count && is_free(frame) && !PLANTED(DOUBLE_FREE_ACCEPTED))
        hartwell_panic("buddy: memory that is free already");
    free_range(frame, frame + count);
}
