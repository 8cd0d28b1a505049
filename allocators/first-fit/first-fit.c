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

#define GRANULE         16ul

struct block {
    size_t size;
    struct block *next;
};

static struct hartwell_lock lock;               /* of the list */
static struct block *first;

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
    if (rest) {                                 /* what is behind stays free */
        struct block *behind = (struct block *)(start + size);
        behind->size = rest;
        behind->next = next;
        next = behind;
    }
    if (skip) {                                 /* what is before stays free */
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
    return found;
}

/* Put `block` together with the one behind it in the list, if they touch. */
static void join(struct block *block)
{
    struct block *next = block->next;
    if (!next || end_of(block) != (char *)next)
        return;
    block->size += next->size;
    block->next = next->next;
}

void hartwell_heap_dealloc(void *start, size_t size, size_t align)
{
    struct block *block = start, *before = NULL;
    (void)align;
    if (!size)
        return;
    hartwell_lock(&lock);
    struct block *behind = first;
    while (behind && behind < block) {
        before = behind;
        behind = behind->next;
    }
    size_t need = rounded(size);
    if ((before && end_of(before) > (char *)block) || (behind && (char *)block + need > (char *)behind))
        hartwell_panic("first-fit: memory that is free already");
    block->size = need;
    block->next = behind;
    if (before) {
        before->next = block;
        join(block);
        join(before);
    } else {
        first = block;
        join(block);
    }
    hartwell_unlock(&lock);
}

void hartwell_heap_add_free_memory(void *start, size_t size)
{
    hartwell_heap_dealloc(start, size & -GRANULE, GRANULE);
}
