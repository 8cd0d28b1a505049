/* SPDX-License-Identifier: MIT */
/*
 * newlib's malloc: Doug Lea's of 1996 (mallocr.c), or the small one (nano-mallocr.c). The source is Debian's, compiled by the
 * Makefile as newlib's own compiles it: one object for each of malloc, free and memalign. ALIGNED is what its malloc gives:
 * MALLOC_ALIGNMENT of the one, MALLOC_ALIGN of the other.
 */
#include "glue.h"

#include <reent.h>

void *_malloc_r(struct _reent *, size_t size);
void *_memalign_r(struct _reent *, size_t align, size_t size);
void _free_r(struct _reent *, void *start);
void __malloc_lock(struct _reent *);
void __malloc_unlock(struct _reent *);

static struct _reent reent;                     /* of the one thread that it thinks there is */

void *their_alloc(size_t size, size_t align)
{
    return align > ALIGNED ? _memalign_r(&reent, align, size) : _malloc_r(&reent, size);
}

void their_free(void *start)
{
    _free_r(&reent, start);
}

void *_sbrk_r(struct _reent *self, ptrdiff_t change)
{
    (void)self;
    return more_memory(change);
}

/* The glue's lock is around all. */
void __malloc_lock(struct _reent *self)
{
    (void)self;
}

void __malloc_unlock(struct _reent *self)
{
    (void)self;
}
