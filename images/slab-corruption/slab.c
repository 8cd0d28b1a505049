/* SPDX-License-Identifier: MIT */
#include "slab.h"

#include <stdbool.h>
#include <stdint.h>

#include "print.h"
#include "sbi.h"

#define PAGE 4096
#define PAGES 4

/* A page begins with whose it is; its slots follow. */
struct slab {
    struct cache *cache;
    uint64_t unused;
};

static char pages[PAGES][PAGE] __attribute__((aligned(PAGE)));
static unsigned pages_used;

/* Cut a new page into slots, which become the free list, in the order of their addresses. */
static bool grow(struct cache *cache)
{
    if (pages_used == PAGES)
        return false;

    char *page = pages[pages_used++];
    ((struct slab *)page)->cache = cache;

    struct slot **link = &cache->free;
    for (char *at = page + sizeof(struct slab); at + cache->size <= page + PAGE; at += cache->size) {
        *link = (struct slot *)at;
        link = &(*link)->next;
    }
    *link = 0;
    return true;
}

static bool is_slot(const struct cache *cache, const void *object)
{
    uintptr_t offset = (uintptr_t)object - (uintptr_t)pages;
    if (offset >= sizeof(pages))
        return false;

    const struct slab *slab = (const struct slab *)pages[offset / PAGE];
    unsigned within = offset % PAGE;
    return slab->cache == cache && within >= sizeof(struct slab)
           && (within - sizeof(struct slab)) % cache->size == 0 && within + cache->size <= PAGE;
}

_Noreturn static void corrupt(const struct cache *cache, const void *object, const char *what)
{
    print("slab: cache \"%s\": %s %lx, where no slot begins (%u in use)\n", cache->name, what, (unsigned long)object,
          cache->in_use);
    exit(1);
}

void *slab_alloc(struct cache *cache)
{
    if (!cache->free && !grow(cache))
        return 0;

    struct slot *slot = cache->free;
    if (!is_slot(cache, slot))
        corrupt(cache, slot, "the free list leads to");
    cache->free = slot->next;
    cache->in_use++;
    return slot;
}

void slab_free(struct cache *cache, void *object)
{
    if (!is_slot(cache, object))
        corrupt(cache, object, "somebody frees");

    struct slot *slot = object;
    slot->next = cache->free;
    cache->free = slot;
    cache->in_use--;
}
