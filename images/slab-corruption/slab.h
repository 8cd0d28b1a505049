/* SPDX-License-Identifier: MIT */
/* A slab allocator: objects of one size each, in pages that are cut into slots. */
#ifndef SLAB_H
#define SLAB_H

/* A slot that is free begins with the address of the next free one. */
struct slot {
    struct slot *next;
};

struct cache {
    const char *name;
    unsigned size;              /* of a slot, in bytes: a multiple of 16 */
    unsigned in_use;            /* slots that are allocated */
    struct slot *free;          /* the free list: the slot to be allocated next */
};

#define CACHE(object) { .name = #object, .size = (sizeof(struct object) + 15) & ~15u }

/* A slot, with anything in it; 0 when there is no memory left. Shuts the machine down if the free list is corrupt. */
void *slab_alloc(struct cache *cache);

/* Give a slot back. Shuts the machine down if it is none of this cache's. */
void slab_free(struct cache *cache, void *object);
#endif
