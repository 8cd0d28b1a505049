/* SPDX-License-Identifier: MIT */
/*
 * A first-fit heap: all free blocks in one list, in the order of their addresses (Knuth, The Art of Computer Programming, 2.5,
 * algorithms A and B).
 *
 *     first ──> │ size, next │          ──> │ size, next │     ──> NULL      in the first 16 bytes of each free block
 *               │    free    │  in use  │   │    free    │
 *
 * All blocks begin at multiples of 16 and are multiples of 16 long, so that each can be in the list; no two free ones touch. A
 * block in use has no header: whoever frees it says its size.
 */
#include <hartwell/lab.h>
#include <hartwell/plant.h>

#define GRANULE         (PLANTED(SMALL_GRANULE) ? 8ul : 16ul)

HARTWELL_PROMISE(refuses_misuse);

struct block {
    size_t size;
    struct block *next;
};

static struct hartwell_lock lock;               /* of the list */
static struct block *first;
static char *memory, *end_of_memory;            /* what we were given is in [memory, end_of_memory) */

static size_t rounded(size_t size)
{
    return (size + GRANULE - 1) & -GRANULE;
}

static char *end_of(struct block *block)
{
    return (char *)block + block->size;
}

/* Take `size` bytes, `skip` bytes behind its beginning, out of the free block that `*link` points to. */
static void *carve(struct block **link, size_t skip, size_t size)
{
    struct block *block = *link, *next = block->next;
    char *start = (char *)block + skip;
    size_t rest = block->size - skip - size;
    if (rest > PLANTED(SMALL_REST_LOST) * GRANULE) {    /* what is behind stays free */
        struct block *behind = (struct block *)(start + size);
        behind->size = rest;
        behind->next = next;
        next = behind;
    }
    if (PLANTED(LIST_CYCLE) && skip && rest) {  /* the link of the one behind is read when it is overwritten already */
        block->size = skip;
        block->next = next;
        next->next = block->next;
    } else if (skip && !PLANTED(SKIPPED_LOST)) {    /* what is before stays free */
        block->size = skip;
        block->next = next;
    } else {
        *link = next;
    }
    return start;
}

void *hartwell_heap_alloc(size_t size, size_t align)
{
    size_t need = rounded(size);
    if (!size || need < size)
        return NULL;
    void *found = NULL;
    hartwell_lock(&lock);
    for (struct block **link = &first; *link; link = &(*link)->next) {
        size_t skip = align > GRANULE ? -(uintptr_t)*link & (align - 1) : 0;
        if (skip <= (*link)->size && need <= (*link)->size - skip) {
            found = carve(link, skip, need);
            break;
        }
    }
    hartwell_unlock(&lock);
    return found || !PLANTED(NONE_IS_NOT_NULL) ? found : (void *)GRANULE;
}

/* Put `block` together with the one behind it in the list, if they touch. */
static void join(struct block *block)
{
    struct block *next = block->next;
    if (!next || end_of(block) + PLANTED(JOINS_OVER_GAP) * GRANULE < (char *)next)
        return;
    block->size += next->size;
    block->next = next->next;
}

/* Make `need` bytes, a multiple of the granule, a free block. The lock is the caller's. */
static void give(void *start, size_t need)
{
    struct block *block = start, *before = NULL;
    struct block *behind = first;
    while (behind && behind < block && !PLANTED(UNORDERED)) {
        before = behind;
        behind = behind->next;
    }
    if ((before && end_of(before) > (char *)block) || (behind && (char *)block + need > (char *)behind))
        hartwell_panic("first-fit: memory that is free already");
    block->size = need;
    block->next = behind;
    if (before) {
        before->next = block;
        join(block);
        if (!PLANTED(JOINS_FORWARD_ONLY))
            join(before);
    } else {
        first = block;
        join(block);
    }
}

void hartwell_heap_dealloc(void *start, size_t size, size_t align)
{
    char *block = start;
    (void)align;
    hartwell_lock(&lock);
    if ((uintptr_t)block % GRANULE || block < memory || block >= end_of_memory || size > (size_t)(end_of_memory - block))
        hartwell_panic("first-fit: memory that is not ours");
    if (size)
        give(block, rounded(size));
    hartwell_unlock(&lock);
}

void hartwell_heap_add_free_memory(void *start, size_t size)
{
    char *end = (char *)start + size;
    hartwell_lock(&lock);
    if (!memory || (char *)start < memory)
        memory = start;
    if (end > end_of_memory)
        end_of_memory = end;
    if (size)
        give(start, size);
    hartwell_unlock(&lock);
}
