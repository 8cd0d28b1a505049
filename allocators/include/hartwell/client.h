/* SPDX-License-Identifier: MIT */
/*
 * Clients: guest code that uses an allocator under test, every access of which the lab judges.
 *
 *     #include <hartwell/client.h>
 *
 *     HARTWELL_SCENARIO(hello)
 *     {
 *         char *text = client_alloc(6, 8);
 *         text[6] = 0;                        // BUG: Hartwell: out-of-bounds store of 1 byte ...
 *         client_free(text, 6, 8);
 *         return 0;
 *     }
 *
 *     hartwell lab client hello.elf --heap-allocator slab
 *
 * A client is one freestanding ELF file, linked with the lab's link.ld at 0xffffffff94000000 (allocators/Makefile has the
 * flags). It runs as an allocator does (lab.h): in S-mode, with interrupts off, a stack of 16 KiB. Each scenario is run with
 * an allocator that has all of its memory; what it returns is shown. docs/lab-findings.md explains the reports.
 */
#ifndef HARTWELL_CLIENT_H
#define HARTWELL_CLIENT_H

#include <hartwell/lab.h>

#define HARTWELL_CLIENT_FRAMES  0
#define HARTWELL_CLIENT_HEAP    1

/* The allocator; the lab fills it in before a scenario begins. */
struct hartwell_client_allocator {
    uint64_t kind;                              /* HARTWELL_CLIENT_... */
    uintptr_t alloc, dealloc;                   /* hartwell_heap_alloc and so on */
};

/* One for each client, whatever number of files it consists of. */
__attribute__((weak)) volatile struct hartwell_client_allocator hartwell_client_allocator = {1, 0, 0};

#define HARTWELL_SCENARIO(name) uint64_t scenario_##name(void)

/* Never inlined, so that backtraces have the line that calls it. */
#define HARTWELL_CALL __attribute__((noinline, unused)) static

static inline size_t client_pages(size_t size)
{
    return (size + HARTWELL_PAGE_SIZE - 1) & ~(size_t)(HARTWELL_PAGE_SIZE - 1);
}

/* `size` bytes at a multiple of `align`, or NULL; of a frame allocator, whole pages in the linear mapping. */
HARTWELL_CALL void *client_alloc(size_t size, size_t align)
{
    uintptr_t alloc = hartwell_client_allocator.alloc;
    if (hartwell_client_allocator.kind == HARTWELL_CLIENT_HEAP)
        return ((void *(*)(size_t, size_t))alloc)(size, align);
    uintptr_t paddr = ((uintptr_t (*)(size_t, size_t))alloc)(client_pages(size), client_pages(align));
    return paddr ? hartwell_virtual(paddr) : NULL;
}

/* Give back what client_alloc(size, align) returned. */
HARTWELL_CALL void client_free(void *start, size_t size, size_t align)
{
    uintptr_t dealloc = hartwell_client_allocator.dealloc;
    if (hartwell_client_allocator.kind == HARTWELL_CLIENT_HEAP)
        ((void (*)(void *, size_t, size_t))dealloc)(start, size, align);
    else
        ((void (*)(uintptr_t, size_t))dealloc)(hartwell_physical(start), client_pages(size));
}

#endif
