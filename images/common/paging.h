/* SPDX-License-Identifier: MIT */
/*
 * Page tables, Sv39 (3 levels) or Sv48 (4). Level 0 maps pages of 4 KiB, 1 of 2 MiB, 2 of 1 GiB, 3 of 512 GiB.
 *
 *    63  54 53           10 9  8  7 6 5 4 3 2 1 0
 *    [  0  ][ page number  ][RSW][D A G U X W R V]       R = W = X = 0: the entry points to the next table
 */
#ifndef PAGING_H
#define PAGING_H

#include <stdbool.h>
#include <stdint.h>

#define PAGE_SIZE 4096UL

enum {
    PTE_V = 1 << 0, PTE_R = 1 << 1, PTE_W = 1 << 2, PTE_X = 1 << 3, PTE_U = 1 << 4, PTE_A = 1 << 6, PTE_D = 1 << 7,
};

/* Build a table that maps the image's gigabyte to itself, and switch it on. False if the hart does not have the mode. */
bool paging_init(unsigned levels);

/* A page of zeros. */
uint64_t page_alloc(void);

/* The entry for `va` at `level`; tables down to there are made. */
uint64_t *pte_at(uint64_t va, unsigned level);

/* Write that entry, and fence. */
void map(uint64_t va, uint64_t pa, unsigned level, unsigned flags);

/* The leaf entry that translates `va`, or NULL. */
uint64_t *pte_find(uint64_t va);

static inline void fence_vma(void)
{
    __asm__ volatile("sfence.vma" : : : "memory");
}
#endif
