/* SPDX-License-Identifier: MIT */
/*
 * What the lab and its driver share. The other side of each structure is in hartwell/lab/operation.py and
 * hartwell/lab/subject/driver.py.
 */
#ifndef DRIVER_H
#define DRIVER_H

#include <stddef.h>
#include <stdint.h>

enum kind { ALLOC, DEALLOC, ADD, SPLIT, CHECK };
enum state { NOT_DONE, DONE, SKIPPED, CALLED };

struct operation {
    uint32_t kind, handle;
    uint64_t size, align, offset;
};

struct result {
    uint64_t value, cycles, instructions, misses, found, state;
};

/* A block that the program has: `first` … `last` are where its pattern was written (its own ends move when it is split). */
struct block {
    uint64_t address, size, align, first, last, seed;
};

/* What driver_run is to do. Addresses are virtual, but `memory`, which for frames is physical. */
struct run {
    const struct operation *operations;
    struct result *results;
    struct block *blocks;
    uint64_t count;
    uint64_t alloc, dealloc, add;       /* the allocator's functions */
    uint64_t memory, size;              /* the memory that it may have: where it begins, bytes */
    uint64_t linear;                    /* what is added to an address of a block to get where it can be accessed */
    uint64_t flags;
    uint64_t tp;                        /* what hartwell_cpu() reads */
};

#define RUN_SIZED       1               /* dealloc(address, size, align), the heap's; else dealloc(address, size) */
#define RUN_CONTENTS    2               /* fill blocks, and look at them */
#define RUN_MISSES      4               /* hpmcounter3 counts misses of the data cache */

uint64_t driver_run(struct run *run);

#endif
