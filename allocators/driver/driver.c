/* SPDX-License-Identifier: MIT */
/*
 * The lab's driver: does a program of operations on one hart, in S-mode, and writes down what each gave and cost.
 *
 *     host: driver_run(run) ──> for each operation: allocator's function ──> result ──> … back to the host
 *
 * Between two calls of the allocator it fills blocks with a pattern and looks at it, as a client would that notices every
 * byte that is not its own doing. Its own stack and tables are nothing that the allocator knows of.
 */
#include "driver.h"

#define CYCLES          "cycle"
#define INSTRUCTIONS    "instret"
#define MISSES          "hpmcounter3"
#define READ(counter)   ({ uint64_t value_; __asm__ volatile("csrr %0, " counter : "=r"(value_) :: "memory"); value_; })

#define PAGE            4096
#define EDGE            64              /* bytes at each end of a block that are filled; of those between, a word a page */

typedef uint64_t (*function)(uint64_t, uint64_t, uint64_t);

/* What the bytes at `at` are filled with; every block has its own seed, and every word its own value. */
static uint64_t pattern(uint64_t seed, uint64_t at)
{
    return seed ^ (at * 0x9e3779b97f4a7c15);
}

/* The next word to be filled in [at, end): all near the ends of the block that was allocated, then one a page. */
static uint64_t following(const struct block *block, uint64_t at)
{
    at += 8;
    if (at < block->first + EDGE || at + EDGE >= block->last)
        return at;
    uint64_t page = (at + PAGE - 1) & ~(uint64_t)(PAGE - 1), tail = (block->last - EDGE) & ~(uint64_t)7;
    return page < tail ? page : tail;
}

static void fill(const struct block *block, uint64_t linear)
{
    uint64_t at = block->first;
    for (; at + 8 <= block->last; at = following(block, at))
        *(volatile uint64_t *)(at + linear) = pattern(block->seed, at);
    for (at = block->last & ~(uint64_t)7; at < block->last; at++)
        *(volatile uint8_t *)(at + linear) = (uint8_t)pattern(block->seed, at);
}

/* The number of the lowest byte that is not 0. */
static uint64_t lowest(uint64_t word)
{
    uint64_t n = 0;
    for (; !(word & 0xff); word >>= 8)
        n++;
    return n;
}

/* 0, or 1 + the offset in the block of the first byte that is not as it was filled. */
static uint64_t look(const struct block *block, uint64_t linear)
{
    uint64_t begin = block->address, end = block->address + block->size, at = block->first;
    for (; at + 8 <= block->last; at = following(block, at)) {
        if (at < begin || at >= end)
            continue;
        uint64_t differs = *(volatile uint64_t *)(at + linear) ^ pattern(block->seed, at);
        if (differs)
            return 1 + at - begin + lowest(differs);
    }
    if (end != block->last)
        return 0;
    for (at = end & ~(uint64_t)7; at < end; at++)
        if (at >= begin && *(volatile uint8_t *)(at + linear) != (uint8_t)pattern(block->seed, at))
            return 1 + at - begin;
    return 0;
}

static uint64_t call(const struct run *run, struct result *result, uint64_t target, uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t misses = 0;
    result->state = CALLED;
    if (run->flags & RUN_MISSES)
        misses = READ(MISSES);
    uint64_t instructions = READ(INSTRUCTIONS), cycles = READ(CYCLES);
    uint64_t value = ((function)target)(a, b, c);
    result->cycles = READ(CYCLES) - cycles;
    result->instructions = READ(INSTRUCTIONS) - instructions;
    if (run->flags & RUN_MISSES)
        result->misses = READ(MISSES) - misses;
    return value;
}

static void allocate(const struct run *run, const struct operation *operation, struct result *result, struct block *block)
{
    uint64_t address = call(run, result, run->alloc, operation->size, operation->align, 0);
    result->value = address;
    block->address = address;
    block->size = address ? operation->size : 0;
    block->align = operation->align;
    block->first = address;
    block->last = address + operation->size;
    block->seed = (operation->handle + 1) * 0xd6e8feb86659fd93;
}

/* Whether the host would let the allocator have given this block: what is not its memory is never written to. */
static int credible(const struct run *run, const struct block *block)
{
    return block->size <= run->size && block->address - run->memory <= run->size - block->size;
}

uint64_t driver_run(struct run *run)
{
    uint64_t n = 0;
    __asm__ volatile("mv tp, %0" :: "r"(run->tp));
    for (; n < run->count; n++) {
        const struct operation *operation = run->operations + n;
        struct result *result = run->results + n;
        struct block *block = run->blocks + operation->handle;
        if (operation->kind == ADD) {
            call(run, result, run->add, run->memory + operation->offset, operation->size, 0);
            result->value = run->memory + operation->offset;
        } else if (operation->kind == ALLOC) {
            allocate(run, operation, result, block);
            if (block->size && !credible(run, block)) {
                block->size = 0;                /* the host will see what was wrong with it */
                result->state = DONE;
                return n + 1;
            }
            if (block->size && run->flags & RUN_CONTENTS)
                fill(block, run->linear);
        } else if (!block->size) {
            result->state = SKIPPED;
            continue;
        } else if (operation->kind == SPLIT) {
            struct block *rest = run->blocks + operation->size;
            *rest = *block;
            rest->address += operation->offset;
            rest->size -= operation->offset;
            block->size = operation->offset;
            result->value = rest->address;
        } else {
            result->value = block->address;
            if (run->flags & RUN_CONTENTS)
                result->found = look(block, run->linear);
            if (operation->kind == DEALLOC) {
                uint64_t align = run->flags & RUN_SIZED ? block->align : 0, size = block->size;
                block->size = 0;
                call(run, result, run->dealloc, block->address, size, align);
            }
        }
        result->state = DONE;
    }
    return n;
}
