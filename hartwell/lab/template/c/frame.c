/*
 * A frame allocator for Hartwell's allocator lab: a starting point that passes. Make it yours.
 *
 * One byte for each frame of memory says whose it is; an allocation is the lowest run of free frames that is long enough and
 * begins at a multiple of the alignment. Simple, correct, and slow when there is much memory: `hartwell lab cost` shows it.
 */
#include <hartwell/lab.h>

#define FRAMES (1ul << 19)                      /* the first 2 GiB of memory */

enum { NOT_OURS, FREE, USED };                  /* all is NOT_OURS at first: zero */

static struct hartwell_lock lock;               /* several CPUs call us at once: of all that follows */
static uint8_t state[FRAMES];
static size_t lowest = FRAMES, end;             /* the free frames are in [lowest, end) */

static size_t frame_of(uintptr_t paddr)
{
    return (paddr - HARTWELL_RAM) / HARTWELL_PAGE_SIZE;
}

static void set(size_t frame, size_t count, uint8_t from, uint8_t to, const char *otherwise)
{
    for (size_t n = frame; n < frame + count; n++) {
        if (n >= FRAMES || state[n] != from)
            hartwell_panic(otherwise);
        state[n] = to;
    }
}

/* How many of the `count` frames from `frame` on are free, before the first that is not. */
static size_t free_run(size_t frame, size_t count)
{
    size_t n = 0;
    while (n < count && frame + n < end && state[frame + n] == FREE)
        n++;
    return n;
}

void hartwell_frame_add_free_memory(uintptr_t paddr, size_t size)
{
    size_t frame = frame_of(paddr), count = size / HARTWELL_PAGE_SIZE;
    hartwell_lock(&lock);
    set(frame, count, NOT_OURS, FREE, "memory that cannot be ours, or is already");
    if (frame < lowest)
        lowest = frame;
    if (frame + count > end)
        end = frame + count;
    hartwell_unlock(&lock);
}

uintptr_t hartwell_frame_alloc(size_t size, size_t align)
{
    size_t count = size / HARTWELL_PAGE_SIZE, step = align > HARTWELL_PAGE_SIZE ? align / HARTWELL_PAGE_SIZE : 1;
    uintptr_t found = 0;
    hartwell_lock(&lock);
    while (lowest < end && state[lowest] != FREE)
        lowest++;
    for (size_t frame = lowest; frame < end && !found;) {
        frame = (frame + step - 1) & -step;     /* the next that is aligned */
        size_t run = free_run(frame, count);
        if (run == count) {
            set(frame, count, FREE, USED, "a run that is not free");
            found = HARTWELL_RAM + frame * HARTWELL_PAGE_SIZE;
        }
        frame += run + 1;
    }
    hartwell_unlock(&lock);
    return found;
}

void hartwell_frame_dealloc(uintptr_t paddr, size_t size)
{
    if (paddr % HARTWELL_PAGE_SIZE || size % HARTWELL_PAGE_SIZE)
        hartwell_panic("memory that is not whole frames");
    hartwell_lock(&lock);
    set(frame_of(paddr), size / HARTWELL_PAGE_SIZE, USED, FREE, "memory that is not allocated");
    if (frame_of(paddr) < lowest)
        lowest = frame_of(paddr);
    hartwell_unlock(&lock);
}

/* A second free, and one of memory that we never gave, panic: the lab may try it. */
HARTWELL_PROMISE(refuses_misuse);
