/* SPDX-License-Identifier: MIT */
/*
 * Runs of pages: the free runs of a region are in a list, of which the first that is long enough is taken (first fit). The first and the last
 * page of a free run know its length, so that a run which comes back finds its free neighbours without a search (Knuth's
 * boundary tags, with the tags outside of the memory).
 *
 *     region      │ struct page [0] [1] [2] ... │ page 0 │ page 1 │ page 2 │ ...  as many as fit
 */
#include "pages.h"

#define REGIONS         16

/* What was given to us at once. Its pages are described at its beginning. */
struct region {
    char *start;                                /* of page 0 */
    size_t count;
    struct page *pages;
    struct page *runs;                          /* first pages of its free runs */
};

static struct hartwell_lock lock;               /* of all that follows; a class's lock comes before it */
static struct region regions[REGIONS];
static unsigned region_count;

static struct region *region_of(const void *address)
{
    unsigned count = __atomic_load_n(&region_count, __ATOMIC_ACQUIRE);
    for (struct region *region = regions; region < regions + count; region++)
        if ((uintptr_t)address - (uintptr_t)region->start < region->count << HARTWELL_PAGE_SHIFT)
            return region;
    return NULL;
}

struct page *page_of(const void *address)
{
    struct region *region = region_of(address);
    return region ? region->pages + (((uintptr_t)address - (uintptr_t)region->start) >> HARTWELL_PAGE_SHIFT) : NULL;
}

static char *start_of(const struct region *region, const struct page *page)
{
    return region->start + ((size_t)(page - region->pages) << HARTWELL_PAGE_SHIFT);
}

static void push(struct region *region, struct page *first, size_t count)
{
    first->state = first[count - 1].state = PAGE_FREE;
    first->count = first[count - 1].count = (uint32_t)count;
    first->prev = NULL;
    first->next = region->runs;
    if (first->next)
        first->next->prev = first;
    region->runs = first;
}

static void unlink(struct region *region, struct page *first)
{
    if (first->prev)
        first->prev->next = first->next;
    else
        region->runs = first->next;
    if (first->next)
        first->next->prev = first->prev;
}

/* Make `count` pages from `first` on a free run, put together with the free runs before and behind it. */
static void free_run(struct region *region, struct page *first, size_t count)
{
    struct page *behind = first + count;
    if (first > region->pages && first[-1].state == PAGE_FREE) {
        size_t before = first[-1].count;
        first -= before;
        count += before;
        unlink(region, first);
    }
    if (behind < region->pages + region->count && behind->state == PAGE_FREE) {
        count += behind->count;
        unlink(region, behind);
    }
    push(region, first, count);
}

/* Take `count` pages from page `skip` of a free run on; what is left at both sides stays free. */
static void take(struct region *region, struct page *first, size_t skip, size_t count, enum page_state state)
{
    size_t rest = first->count - skip - count;
    unlink(region, first);
    if (skip)
        push(region, first, skip);
    first += skip;
    if (rest)
        push(region, first + count, rest);
    for (size_t n = 0; n < count; n++) {
        first[n].state = (uint8_t)state;
        first[n].count = 0;
    }
    first->count = (uint32_t)count;
}

/* The pages of a region that pages_alloc is to return. */
static void *find(struct region *region, size_t count, size_t align, enum page_state state)
{
    for (struct page *first = region->runs; first; first = first->next) {
        size_t number = (uintptr_t)start_of(region, first) >> HARTWELL_PAGE_SHIFT, skip = -number & (align - 1);
        if (PLANTED(PAGE_ALIGN_ONLY))
            skip = 0;
        if (skip <= first->count && count <= first->count - skip) {
            take(region, first, skip, count, state);
            return start_of(region, first + skip);
        }
    }
    return NULL;
}

void *pages_alloc(size_t count, size_t align, enum page_state state)
{
    void *found = NULL;
    hartwell_lock(&lock);
    for (unsigned n = 0; n < region_count && !found; n++)
        found = find(&regions[n], count, align, state);
    hartwell_unlock(&lock);
    return found;
}

void pages_free(void *start, size_t count)
{
    struct region *region = region_of(start);
    struct page *first = page_of(start);
    if (!first || (uintptr_t)start % HARTWELL_PAGE_SIZE)
        hartwell_panic("slab: pages that are not ours");
    hartwell_lock(&lock);
    if (first->state == PAGE_FREE || first->count != count)
        hartwell_panic("slab: pages that are free already, or were handed out in other runs");
    first->state = PAGE_FREE;                   /* also where it gets into the middle of a free run */
    first->count = 0;
    free_run(region, first, count);
    hartwell_unlock(&lock);
}

void pages_add(void *start, size_t size)
{
    size_t count = size / (HARTWELL_PAGE_SIZE + sizeof(struct page));
    while (count && pages_in(count * sizeof(struct page)) + count > size >> HARTWELL_PAGE_SHIFT)
        count--;
    if (!count)
        return;                                 /* a page for the description, and none to be described */
    hartwell_lock(&lock);
    if (region_count == REGIONS)
        hartwell_panic("slab: more than 16 regions of memory");
    struct region *region = regions + region_count;
    region->pages = start;
    region->count = count;
    region->start = (char *)start + (pages_in(count * sizeof(struct page)) << HARTWELL_PAGE_SHIFT);
    region->runs = NULL;
    for (size_t n = 0; n < count; n++)
        region->pages[n] = (struct page){.state = PAGE_RUN};
    __atomic_store_n(&region_count, region_count + 1, __ATOMIC_RELEASE);
    free_run(region, region->pages, count);
    hartwell_unlock(&lock);
}
