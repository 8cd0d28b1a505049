/* SPDX-License-Identifier: MIT */
/*
 * A bitmap allocator of frames: bit `frame % 64` of word `frame / 64` is set while the frame is free. An allocation is the
 * lowest run of set bits that is long enough and begins at a multiple of the alignment (first fit). It takes O(frames)
 * steps, 64 frames a step where none is free; freeing takes a step for each frame that is freed.
 */
#include <hartwell/lab.h>
#include <hartwell/plant.h>

#define FRAMES          (1ul << 19)             /* the first 2 GiB of RAM */
#define WORD            64

HARTWELL_PROMISE(refuses_misuse);

static struct hartwell_lock lock;               /* of all that follows */
static uint64_t map[FRAMES / WORD];
static size_t first = FRAMES, end;              /* all set bits are in [first, end) */
static size_t memory = FRAMES, end_of_memory;   /* the frames that we were given are in [memory, end_of_memory) */

static int is_free(size_t frame)
{
    return map[frame / WORD] >> frame % WORD & 1;
}

static void flip(size_t frame, size_t count)
{
    for (size_t n = frame; n < frame + count; n++)
        map[n / WORD] ^= 1ul << n % WORD;
}

/* The lowest free frame from `frame` on; `end` if there is none. */
static size_t next_free(size_t frame)
{
    while (frame < end && !is_free(frame))
        frame = map[frame / WORD] ? frame + 1 : (frame / WORD + 1) * WORD;
    return frame < end ? frame : end;
}

/* How many of the `count` frames from `frame` on are free, before the first that is not. */
static size_t free_run(size_t frame, size_t count)
{
    size_t n = PLANTED(RUN_SKIPS_FIRST) && count > 1;
    while (n < count && is_free(frame + n))
        n++;
    return n;
}

/* The lowest `count` free frames in a row, at a multiple of `align` pages; FRAMES if there are none. */
static size_t find(size_t count, size_t align)
{
    for (size_t frame = next_free(first); frame < end;) {
        size_t aligned = (frame + align - 1) & -align;
        if (aligned >= end || count > end - aligned)
            break;
        size_t run = free_run(aligned, count);
        if (run + PLANTED(RUN_TOO_SHORT) >= count)
            return aligned;
        frame = next_free(aligned + run + 1);
    }
    return FRAMES;
}

uintptr_t hartwell_frame_alloc(size_t size, size_t align)
{
    size_t count = PLANTED(SIZE_TRUNCATED) ? (uint32_t)size >> HARTWELL_PAGE_SHIFT : size >> HARTWELL_PAGE_SHIFT;
    size_t pages = align > HARTWELL_PAGE_SIZE ? align >> HARTWELL_PAGE_SHIFT : 1;
    if (!count)
        return 0;
    hartwell_lock(&lock);
    size_t frame = find(count, pages);
    if (frame < FRAMES)
        flip(frame, count);
    if (frame == first)
        first = frame + count;
    hartwell_unlock(&lock);
    return frame < FRAMES ? HARTWELL_RAM + (frame << HARTWELL_PAGE_SHIFT) : 0;
}

/* Make `count` frames free. The lock is the caller's. */
static void give(size_t frame, size_t count)
{
    for (size_t n = frame; n < frame + count; n++)
        if (is_free(n))
            hartwell_panic("bitmap: memory that is free already");
    flip(frame, count);
    if (count && frame < first && (!PLANTED(STALE_HINT) || !end))
        first = frame;
    if (count && frame + count > end)
        end = frame + count;
}

void hartwell_frame_dealloc(uintptr_t paddr, size_t size)
{
    size_t frame = (paddr - HARTWELL_RAM) >> HARTWELL_PAGE_SHIFT, count = size >> HARTWELL_PAGE_SHIFT;
    if (paddr % HARTWELL_PAGE_SIZE || size % HARTWELL_PAGE_SIZE)
        hartwell_panic("bitmap: memory that is not whole pages");
    hartwell_lock(&lock);
    if (frame < memory || frame >= end_of_memory || count > end_of_memory - frame)
        hartwell_panic("bitmap: memory that is not ours");
    give(frame, count);
    hartwell_unlock(&lock);
}

void hartwell_frame_add_free_memory(uintptr_t paddr, size_t size)
{
    size_t frame = (paddr - HARTWELL_RAM) >> HARTWELL_PAGE_SHIFT, count = size >> HARTWELL_PAGE_SHIFT;
    if (frame >= FRAMES || count > FRAMES - frame)
        hartwell_panic("bitmap: memory that is not in the first 2 GiB of RAM");
    hartwell_lock(&lock);
    if (frame < memory)
        memory = frame;
    if (frame + count > end_of_memory)
        end_of_memory = frame + count;
    give(frame, count + PLANTED(BEYOND_MEMORY));
    hartwell_unlock(&lock);
}
