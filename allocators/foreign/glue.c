/* SPDX-License-Identifier: MIT */
/*
 * The lab's heap interface over any malloc that gets its memory from sbrk, as C libraries for small machines have it.
 *
 *     hartwell_heap_add_free_memory ──> areas ──> more_memory() ──> their malloc, aligned_alloc, free
 *
 * Those have no idea of several CPUs: one lock is around them.
 */
#include "glue.h"

#include <hartwell/lab.h>

#define AREAS           16

/* Memory that was given to us; what is before `next` has been given on. */
struct area {
    char *start, *next, *end;
};

static struct hartwell_lock lock;
static struct area areas[AREAS];
static unsigned count, current;                 /* how many there are; which one memory is taken from */

/*
 * What does not fit the area at work comes from the next one that it fits; what is left of those before it is lost then: sbrk
 * only ever goes up.
 */
void *more_memory(ptrdiff_t change)
{
    for (unsigned n = current; n < count; n++) {
        struct area *area = &areas[n];
        char *before = area->next;
        if (change >= area->start - before && change <= area->end - before) {
            area->next += change;
            current = n;
            return before;
        }
        if (change <= 0)
            break;
    }
    return (void *)-1;
}

void *hartwell_heap_alloc(size_t size, size_t align)
{
    hartwell_lock(&lock);
    void *start = their_alloc(size, align);
    hartwell_unlock(&lock);
    return start;
}

void hartwell_heap_dealloc(void *start, size_t size, size_t align)
{
    (void)size, (void)align;
    hartwell_lock(&lock);
    their_free(start);
    hartwell_unlock(&lock);
}

void hartwell_heap_add_free_memory(void *start, size_t size)
{
    if (count == AREAS)
        hartwell_panic("glue: more than 16 areas of memory");
    areas[count++] = (struct area){start, start, (char *)start + size};
}
