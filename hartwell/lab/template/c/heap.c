/*
 * A heap allocator for Hartwell's allocator lab: a starting point that passes. Make it yours.
 *
 * All free blocks are in one list, in the order of their addresses; a request gets the first that is large enough (first fit),
 * and what comes back is put together with its neighbours. A block in use has no header: whoever frees it says its size.
 */
#include <hartwell/lab.h>

#define GRANULE 16ul                            /* blocks begin at multiples of it, and are multiples of it long */

struct block {                                  /* at the beginning of each free block */
    size_t size;
    struct block *next;
};

static struct hartwell_lock lock;               /* several CPUs call us at once: of the list */
static struct block *first;

static size_t rounded(size_t size)
{
    return (size + GRANULE - 1) & -GRANULE;
}

/* Make `size` bytes at `start` a free block that comes before `next`; put it together with that if they touch. */
static struct block *make(void *start, size_t size, struct block *next)
{
    struct block *block = start;
    if ((char *)start + size == (char *)next) {
        size += next->size;
        next = next->next;
    }
    block->size = size;
    block->next = next;
    return block;
}

static void give(char *start, size_t size)
{
    struct block *before = NULL, *next = first;
    while (next && (char *)next < start) {
        before = next;
        next = next->next;
    }
    if ((before && (char *)before + before->size > start) || (next && start + size > (char *)next))
        hartwell_panic("memory that is free already");
    struct block *block = make(start, size, next);
    if (before)
        make(before, before->size, block);
    else
        first = block;
}

void hartwell_heap_add_free_memory(void *start, size_t size)
{
    hartwell_lock(&lock);
    give(start, size & -GRANULE);
    hartwell_unlock(&lock);
}

void *hartwell_heap_alloc(size_t size, size_t align)
{
    size_t need = rounded(size);
    char *found = NULL;
    hartwell_lock(&lock);
    for (struct block **link = &first; *link && !found; link = &(*link)->next) {
        struct block *block = *link, *next = block->next;
        size_t skip = align > GRANULE ? -(uintptr_t)block & (align - 1) : 0;    /* bytes before the next aligned address */
        if (block->size < skip || block->size - skip < need)
            continue;
        found = (char *)block + skip;
        if (block->size > skip + need)          /* what is behind it stays free */
            next = make(found + need, block->size - skip - need, next);
        if (skip) {                             /* and what is before it */
            block->size = skip;
            block->next = next;
        } else {
            *link = next;
        }
        break;
    }
    hartwell_unlock(&lock);
    return found;
}

void hartwell_heap_dealloc(void *start, size_t size, size_t align)
{
    (void)align;
    hartwell_lock(&lock);
    give(start, rounded(size));
    hartwell_unlock(&lock);
}
