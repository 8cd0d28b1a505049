/* SPDX-License-Identifier: MIT */
/* The hang on reuse: a page that the allocator has not given out comes back, and two allocations later nothing does. */
#include <hartwell/client.h>

#define PAGE    ((size_t)HARTWELL_PAGE_SIZE)

/* A page that nobody has allocated: what made it did not ask the allocator. */
__attribute__((noinline)) static void *from_unused(char *near)
{
    return near + 16 * PAGE;
}

HARTWELL_SCENARIO(reuse)
{
    char *first = client_alloc(PAGE, PAGE);
    void *page = from_unused(first);
    client_free(page, PAGE, PAGE);              /* the bug: it is the allocator's already */
    char *ten = client_alloc(10 * PAGE, PAGE);
    char *hundred = client_alloc(100 * PAGE, PAGE);
    return ten && hundred;
}
