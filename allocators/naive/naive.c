/* SPDX-License-Identifier: MIT */
/*
 * The simplest frame allocator: the free pages are a list, by ascending address, whose links are in the pages.
 *
 *     list ──> page ──> page ──> page ──> ... ──> NULL
 *
 * It believes what it is told. That is its flaw: a page that is freed while it is free becomes its own successor.
 */
#include <hartwell/lab.h>

struct page {
    struct page *next;
};

static struct hartwell_lock lock;
static struct page *list;

static struct page *behind(struct page *page)
{
    return (struct page *)((char *)page + HARTWELL_PAGE_SIZE);
}

/* The link to the first of `count` pages in a row, the first at a multiple of `align`; NULL if there are none. */
static struct page **find(size_t count, size_t align)
{
    struct page **first = &list;
    size_t found = 0;
    for (struct page **link = &list; *link; link = &(*link)->next) {
        if (!found && (uintptr_t)*link % align)
            continue;
        if (!found)
            first = link;
        found++;
        if (found == count)
            return first;
        if ((*link)->next != behind(*link))
            found = 0;
    }
    return NULL;
}

uintptr_t hartwell_frame_alloc(size_t size, size_t align)
{
    size_t count = size >> HARTWELL_PAGE_SHIFT;
    uintptr_t start = 0;
    if (!count)
        return 0;
    hartwell_lock(&lock);
    struct page **link = find(count, align);
    if (link) {
        start = hartwell_physical(*link);
        struct page *last = hartwell_virtual(start + size - HARTWELL_PAGE_SIZE);
        *link = last->next;
    }
    hartwell_unlock(&lock);
    return start;
}

void hartwell_frame_dealloc(uintptr_t paddr, size_t size)
{
    struct page *page = hartwell_virtual(paddr), *end = hartwell_virtual(paddr + size);
    hartwell_lock(&lock);
    struct page **link = &list;
    while (*link && *link < page)
        link = &(*link)->next;
    struct page *next = *link;
    *link = page;
    for (; behind(page) != end; page = behind(page))
        page->next = behind(page);
    page->next = next;
    hartwell_unlock(&lock);
}

void hartwell_frame_add_free_memory(uintptr_t paddr, size_t size)
{
    hartwell_frame_dealloc(paddr, size);
}
