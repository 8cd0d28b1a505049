/* SPDX-License-Identifier: MIT */
/*
 * picolibc's malloc, as Debian compiled it: libc.a is linked as it is. ALIGNED is what its malloc is taken to give: the C
 * standard has it that it is alignof(max_align_t), which is 16.
 */
#include "glue.h"

void *malloc(size_t size);
void *aligned_alloc(size_t align, size_t size);
void free(void *start);

/* Its errno is a thread's; tp, by which that is found, is the number of the CPU in the lab. */
static char thread[64] __attribute__((aligned(16)));
#define AS_THREAD(...)  do { \
        uint64_t tp; \
        __asm__ volatile("mv %0, tp\n\tmv tp, %1" : "=&r"(tp) : "r"(thread) : "memory"); \
        __VA_ARGS__; \
        __asm__ volatile("mv tp, %0" :: "r"(tp) : "memory"); \
    } while (0)

void *their_alloc(size_t size, size_t align)
{
    void *start;
    AS_THREAD(start = align > ALIGNED ? aligned_alloc(align, size) : malloc(size));
    return start;
}

void their_free(void *start)
{
    AS_THREAD(free(start));
}

void *sbrk(ptrdiff_t change)
{
    return more_memory(change);
}
