/* SPDX-License-Identifier: MIT */
/* Runs of pages, and what is known of each page. All functions take the lock of the pages, and may be called on any CPU. */
#ifndef PAGES_H
#define PAGES_H

#include <hartwell/lab.h>
#include <hartwell/plant.h>

enum page_state {
    PAGE_FREE,                                  /* in a free run */
    PAGE_RUN,                                   /* in a run that has been handed out */
    PAGE_SLAB,
};

struct page {
    struct page *next, *prev;                   /* first of a free run: its region's list; slab: its class's list */
    void *free;                                 /* slab: the first free slot */
    uint32_t count;                             /* first of a run, last of a free one: its pages; inside of a run: 0 */
    uint16_t used;                              /* slab: slots handed out */
    uint8_t state;                              /* enum page_state */
    uint8_t class;                              /* slab: of its slots */
};

/* How many pages `size` bytes take. */
static inline size_t pages_in(size_t size)
{
    return (size >> HARTWELL_PAGE_SHIFT) + (size % HARTWELL_PAGE_SIZE != 0 && !PLANTED(SHORT_RUN));
}

/* What is known of the page that `address` is in; NULL if it is none of ours. Needs no lock. */
struct page *page_of(const void *address);

/* `count` pages in a row, the first at a multiple of `align` pages, with a new state; NULL if there are none. */
void *pages_alloc(size_t count, size_t align, enum page_state state);

/* Take back the `count` pages from `start` on. */
void pages_free(void *start, size_t count);

/* `size` bytes from `start` on are for pages. */
void pages_add(void *start, size_t size);

#endif
