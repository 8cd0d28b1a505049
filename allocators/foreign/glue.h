/* SPDX-License-Identifier: MIT */
/* What is between the lab's interface (glue.c) and an allocator of somebody else's (one file each). */
#ifndef GLUE_H
#define GLUE_H

#include <stddef.h>
#include <stdint.h>

/* The other allocator's malloc (or aligned_alloc, if `align` is more than malloc gives) and free. One CPU at a time. */
void *their_alloc(size_t size, size_t align);
void their_free(void *start);

/* Its sbrk: where `change` more bytes begin, (void *)-1 if there are none. Less than 0 gives some back. */
void *more_memory(ptrdiff_t change);

#endif
