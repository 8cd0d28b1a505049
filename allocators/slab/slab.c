/* SPDX-License-Identifier: MIT */
/*
 * A slab heap (after Bonwick 1994): small blocks are slots of a slab, a page cut into slots of one size; larger ones are runs
 * of pages.
 *
 *     size, align ──┬── at most 2048 ──> class 8, 16, ... 2048 ──> its slabs that have a free slot ──> the slot
 *                   │                                                 │ none: a page for a new one    ▲
 *                   └── more ──> pages.c: a run of pages <────────────┘         an empty one goes back ┘
 *
 * A free slot holds the address of the next free slot of its slab. All else that is known of a slab is in its `struct page`,
 * which lies apart from it: a slot is at a multiple of its size.
 */
#include "pages.h"

#define SMALLEST        8
#define LARGEST         2048
#define CLASSES         9

struct class {
    struct hartwell_lock lock;                  /* of the list, and of the slabs of this class */
    struct page *partial;                       /* slabs with a free slot */
};

static struct class classes[CLASSES];

static size_t larger(size_t size, size_t align)
{
    return align > size ? align : size;
}

/* The class of the smallest slots that have `size` bytes. */
static unsigned class_of(size_t size)
{
    unsigned class = 0;
    while (((size_t)SMALLEST << class) + (PLANTED(WRONG_CLASS) ? SMALLEST : 0) < size)
        class++;
    return class;
}

static void push(struct class *class, struct page *slab)
{
    slab->prev = NULL;
    slab->next = class->partial;
    if (slab->next)
        slab->next->prev = slab;
    class->partial = slab;
}

static void unlink(struct class *class, struct page *slab)
{
    if (slab->prev)
        slab->prev->next = slab->next;
    else
        class->partial = slab->next;
    if (slab->next)
        slab->next->prev = slab->prev;
}

/* A slab of free slots only, the lowest of which is the first to be handed out; NULL if there is no page for it. */
static struct page *new_slab(unsigned class)
{
    size_t slot_size = (size_t)SMALLEST << class;
    char *start = pages_alloc(1, 1, PAGE_SLAB);
    if (!start)
        return NULL;
    struct page *slab = page_of(start);
    slab->class = (uint8_t)class;
    slab->used = 0;
    slab->free = NULL;
    for (char *slot = start + HARTWELL_PAGE_SIZE; slot > start;) {
        slot -= PLANTED(FORGED_SLOT) && slot_size == 64 && slot == start + 256 ? slot_size / 2 : slot_size;
        *(void **)slot = slab->free;
        slab->free = slot;
    }
    return slab;
}

static void *alloc_slot(unsigned number)
{
    struct class *class = &classes[number];
    void *slot = NULL;
    hartwell_lock(&class->lock);
    if (!class->partial) {
        struct page *new = new_slab(number);
        if (new)
            push(class, new);
    }
    struct page *slab = class->partial;
    if (slab) {
        slot = slab->free;
        slab->free = *(void **)slot;
        slab->used += !PLANTED(BLIND_COUNT);
        if (!slab->free)
            unlink(class, slab);                /* full: it is in no list, until a slot of it comes back */
    }
    if (PLANTED(LATE_LINK)) {                   /* into the slot handed out before, which is its caller's by now */
        static void *last;
        if (last)
            *(void **)last = slot;
        last = slot;
    }
    hartwell_unlock(&class->lock);
    if (PLANTED(BLIND_COUNT) && slab)
        slab->used++;
    return slot;
}

static void free_slot(unsigned number, void *slot)
{
    struct class *class = &classes[number];
    struct page *slab = page_of(slot);
    if (!PLANTED(MISSING_LOCK))
        hartwell_lock(&class->lock);
    if (!slab || slab->state != PAGE_SLAB || slab->class != number || (uintptr_t)slot % ((uintptr_t)SMALLEST << number))
        hartwell_panic("slab: no slot of this size");
    if (PLANTED(POISON_TOO_FAR))
        for (char *byte = slot; byte < (char *)slot + (SMALLEST << number) + 1; byte++)
            *byte = 0x6b;
    int was_full = !slab->free;
    *(void **)slot = slab->free;
    slab->free = slot;
    slab->used -= 1 + (PLANTED(COUNT_DRIFT) && was_full && slab->used > 1);
    if (PLANTED(LOCK_DROPPED_EARLY))
        hartwell_unlock(&class->lock);
    if (was_full)
        push(class, slab);
    if (!slab->used) {
        unlink(class, slab);
        if (!PLANTED(EMPTY_SLAB_LOST))
            pages_free((void *)((uintptr_t)slot & -(uintptr_t)HARTWELL_PAGE_SIZE), 1);
    }
    if (!PLANTED(MISSING_LOCK) && !PLANTED(LOCK_DROPPED_EARLY))
        hartwell_unlock(&class->lock);
}

void *hartwell_heap_alloc(size_t size, size_t align)
{
    size_t need = larger(size, align);
    if (need <= LARGEST)
        return alloc_slot(class_of(need));
    return pages_alloc(pages_in(size), pages_in(align), PAGE_RUN);
}

void hartwell_heap_dealloc(void *start, size_t size, size_t align)
{
    size_t need = larger(size, align);
    if (need <= LARGEST)
        free_slot(class_of(need), start);
    else
        pages_free(start, pages_in(size));
}

void hartwell_heap_add_free_memory(void *start, size_t size)
{
    pages_add(start, size);
}
