/* SPDX-License-Identifier: MIT */
#include "paging.h"

#include "csr.h"
#include "print.h"
#include "sbi.h"

#define POOL_PAGES 48
#define IMAGE_GIGABYTE 0x80000000UL

static uint8_t pool[POOL_PAGES][PAGE_SIZE] __attribute__((aligned(4096)));
static unsigned taken;
static unsigned depth;
static uint64_t *root;

uint64_t page_alloc(void)
{
    if (taken == POOL_PAGES) {
        print("out of pages\n");
        exit(1);
    }
    return (uint64_t)pool[taken++];     /* .bss, so still zero */
}

static unsigned index_at(uint64_t va, unsigned level)
{
    return va >> (12 + 9 * level) & 511;
}

static uint64_t *table_of(uint64_t pte)
{
    return (uint64_t *)(pte >> 10 << 12);
}

uint64_t *pte_at(uint64_t va, unsigned level)
{
    uint64_t *table = root;

    for (unsigned i = depth - 1; i > level; i--) {
        uint64_t *pte = &table[index_at(va, i)];
        if (!(*pte & PTE_V))
            *pte = page_alloc() >> 12 << 10 | PTE_V;
        table = table_of(*pte);
    }
    return &table[index_at(va, level)];
}

void map(uint64_t va, uint64_t pa, unsigned level, unsigned flags)
{
    *pte_at(va, level) = pa >> 12 << 10 | flags;
    fence_vma();
}

uint64_t *pte_find(uint64_t va)
{
    uint64_t *table = root;

    for (unsigned i = depth; i-- > 0;) {
        uint64_t *pte = &table[index_at(va, i)];
        if (!(*pte & PTE_V))
            return 0;
        if (*pte & (PTE_R | PTE_W | PTE_X))
            return pte;
        table = table_of(*pte);
    }
    return 0;
}

bool paging_init(unsigned levels)
{
    depth = levels;
    root = (uint64_t *)page_alloc();
    map(IMAGE_GIGABYTE, IMAGE_GIGABYTE, 2, PTE_V | PTE_R | PTE_W | PTE_X | PTE_A | PTE_D);

    uint64_t satp = (uint64_t)(levels + 5) << 60 | (uint64_t)root >> 12;       /* mode 8: Sv39, 9: Sv48 */
    csr_write(satp, satp);
    fence_vma();
    return csr_read(satp) == satp;
}
