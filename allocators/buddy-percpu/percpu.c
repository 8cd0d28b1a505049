/* SPDX-License-Identifier: MIT */
/*
 * A buddy allocator with a cache of single frames for each CPU (after Bonwick and Adams 2001, and Linux's per-CPU page lists).
 *
 *     one frame ──> cache of this CPU ── empty: 8 frames from ──┐
 *                                    ── full: 8 frames to ──────┼──> pool (../buddy/blocks.c, one lock)
 *     more ─────────────────────────────────────────────────────┘      │ has nothing: all caches go back to it, once
 *
 * A frame in a cache is no buddy of anybody. That is why a request that the pool cannot satisfy empties the caches of all CPUs,
 * and tries again; and why a cache has a lock, although nearly always its own CPU takes it. A cache's lock comes before the
 * pool's; nobody has two caches' locks.
 */
#include "buddy/blocks.h"
#include <hartwell/plant.h>

HARTWELL_PROMISE(bounded_time);

#define ROOM            16                      /* frames in a cache */
#define BATCH           8                       /* frames that go from or to the pool at once */

struct cache {
    struct hartwell_lock lock;
    uint32_t count;
    uint32_t frames[ROOM];                      /* a stack: the frame freed last is the first to be used again */
} __attribute__((aligned(64)));                 /* no cache line is two CPUs' */

static struct hartwell_lock pool_lock;
static struct cache caches[HARTWELL_MAX_CPUS];
static size_t free_count;                       /* frames in the pool and the caches, or more while some are on their way */

/* There are `change` more frames free. */
static void count_free(size_t change)
{
    if (PLANTED(LOST_UPDATE))
        *(volatile size_t *)&free_count = *(volatile size_t *)&free_count + change;
    else
        __atomic_fetch_add(&free_count, change, __ATOMIC_RELAXED);
}

/* Move frames of a locked cache to the pool until `keep` are left: those at the bottom, which have not been used for longest. */
static void drain(struct cache *cache, uint32_t keep)
{
    uint32_t out = cache->count - keep;
    hartwell_lock(&pool_lock);
    for (uint32_t n = PLANTED(DRAIN_LOSES_ONE); n < out; n++)
        blocks_give(cache->frames[n], 1);
    hartwell_unlock(&pool_lock);
    for (uint32_t n = 0; n < keep; n++)
        cache->frames[n] = cache->frames[out + n];
    cache->count = PLANTED(STALE_CACHE) && keep ? keep + 1 : keep;
}

/* Move up to a batch of frames from the pool to a locked, empty cache. */
static void fill(struct cache *cache)
{
    hartwell_lock(&pool_lock);
    while (cache->count < BATCH) {
        size_t frame = blocks_take(1, 1);
        if (frame == NONE)
            break;
        cache->frames[cache->count++] = (uint32_t)frame;
    }
    hartwell_unlock(&pool_lock);
    if (PLANTED(SHORT_BATCH) && cache->count)
        cache->count = BATCH;                   /* as if the pool always had so many */
}

/* A frame of this CPU's cache; NONE if that and the pool are empty. */
static size_t take_cached(void)
{
    struct cache *cache = &caches[hartwell_cpu()];
    hartwell_lock(&cache->lock);
    if (!cache->count)
        fill(cache);
    size_t frame = cache->count ? cache->frames[--cache->count] : NONE;
    hartwell_unlock(&cache->lock);
    return frame;
}

static void give_cached(size_t frame)
{
    struct cache *cache = &caches[hartwell_cpu()];
    hartwell_lock(&cache->lock);
    if (cache->count == ROOM)
        drain(cache, ROOM - BATCH);
    cache->frames[cache->count++] = (uint32_t)frame;
    hartwell_unlock(&cache->lock);
}

static size_t take_from_pool(size_t count, size_t align)
{
    hartwell_lock(&pool_lock);
    size_t frame = blocks_take(count, align);
    hartwell_unlock(&pool_lock);
    return frame;
}

static void drain_all(void)
{
    for (struct cache *cache = caches; cache < caches + HARTWELL_MAX_CPUS; cache++) {
        hartwell_lock(&cache->lock);
        drain(cache, 0);
        hartwell_unlock(&cache->lock);
    }
}

uintptr_t hartwell_frame_alloc(size_t size, size_t align)
{
    size_t count = pages(size), aligned = pages(align);
    if (!count || count > __atomic_load_n(&free_count, __ATOMIC_RELAXED))
        return 0;                               /* not to be had, wherever the free frames are */
    size_t frame = count == 1 && aligned == 1 ? take_cached() : take_from_pool(count, aligned);
    if (frame == NONE && !PLANTED(CACHES_KEPT)) {
        drain_all();
        frame = take_from_pool(count, aligned);
    }
    if (frame != NONE)
        count_free(-count);
    return frame == NONE ? 0 : frame_paddr(frame);
}

void hartwell_frame_dealloc(uintptr_t paddr, size_t size)
{
    if (paddr % HARTWELL_PAGE_SIZE || size % HARTWELL_PAGE_SIZE)
        hartwell_panic("buddy-percpu: memory that is not whole pages");
    count_free(pages(size));
    if (size == HARTWELL_PAGE_SIZE) {
        give_cached(frame_at(paddr));
        return;
    }
    hartwell_lock(&pool_lock);
    blocks_give(frame_at(paddr), pages(size));
    hartwell_unlock(&pool_lock);
}

void hartwell_frame_add_free_memory(uintptr_t paddr, size_t size)
{
    count_free(pages(size));
    hartwell_lock(&pool_lock);
    blocks_add(frame_at(paddr), pages(size));
    hartwell_unlock(&pool_lock);
}
