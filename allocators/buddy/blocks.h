/* SPDX-License-Identifier: MIT */
/* Free blocks of frames, by the buddy system. Frames are numbered from the start of RAM. No locks: that is the caller's. */
#ifndef BLOCKS_H
#define BLOCKS_H

#include <hartwell/lab.h>

#define ORDERS          20                      /* the largest block: 2 GiB */
#define FRAMES          (1ul << (ORDERS - 1))   /* the frames there may be */
#define NONE            FRAMES                  /* no frame */

/* `count` frames in a row, the first at a multiple of `align`, a power of two; NONE if there are none. */
size_t blocks_take(size_t count, size_t align);

/* There are `count` more frames, from `frame` on; they are free. */
void blocks_add(size_t frame, size_t count);

/* Make the `count` frames from `frame` on free. Panics if they are not ours, or the first is free already. */
void blocks_give(size_t frame, size_t count);

static inline size_t frame_at(uintptr_t paddr)
{
    return (paddr - HARTWELL_RAM) >> HARTWELL_PAGE_SHIFT;
}

static inline uintptr_t frame_paddr(size_t frame)
{
    return HARTWELL_RAM + (frame << HARTWELL_PAGE_SHIFT);
}

/* How many pages `size` bytes are; less than a page is one. */
static inline size_t pages(size_t size)
{
    return (size >> HARTWELL_PAGE_SHIFT) + (size % HARTWELL_PAGE_SIZE != 0);
}

#endif
