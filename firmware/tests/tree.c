/* SPDX-License-Identifier: MIT */
/*
 * The device tree reader and the reservation, with the tree of the machine that this runs on: first as it is, then broken in some
 * thousand ways. A broken one must be refused or read; a trap or an endless loop would end this test.
 */
#include "check.h"
#include "csr.h"
#include "fdt.h"
#include "fdt_reserve.h"
#include "hart.h"
#include "memory.h"
#include "pmu_events.h"
#include "trap.h"

#define COPY 0x80800000UL               /* in the middle of nothing */
#define NEXT 0x80200000UL
#define BASE 0x80000000UL
#define SIZE 0x10000UL

static uint64_t original;
static uint32_t original_size;

struct found {
    unsigned nodes, reservations;
    uint64_t base, size;
    bool no_map;
};

static void visit(const struct fdt_node *node, void *context)
{
    struct found *found = context;
    struct fdt_property property;
    uint64_t base;

    found->nodes++;
    fdt_node_reg(node, &base, NULL);
    if (fdt_node_named(node, "mmode_resv0") && node->parent && fdt_node_named(node->parent, "reserved-memory")) {
        found->reservations++;
        fdt_node_reg(node, &found->base, &found->size);
        found->no_map = fdt_node_property(node, "no-map", &property) && property.size == 0;
    }
}

static struct found survey(const struct fdt *tree)
{
    struct found found = { 0 };

    fdt_walk(tree, visit, &found);
    return found;
}

static bool reserved(const struct fdt *tree, unsigned nodes)
{
    struct fdt reread;
    struct found found = survey(tree);

    return found.nodes == nodes && found.reservations == 1 && found.base == BASE && found.size == SIZE && found.no_map &&
           !fdt_open(&reread, (uint64_t)tree->base);
}

static void visit_memory(const struct fdt_node *node, void *size)
{
    uint64_t base;

    if (fdt_node_named(node, "memory"))
        fdt_node_reg(node, &base, size);
}

static uint64_t memory_size(const struct fdt *tree)
{
    uint64_t size = 0;

    fdt_walk(tree, visit_memory, &size);
    return size;
}

static void copy_tree(void)
{
    memcpy((void *)COPY, (void *)original, original_size);
}

static void test_good(void)
{
    struct fdt tree;
    copy_tree();
    if (!check(!fdt_open(&tree, COPY), "the machine's own tree is accepted"))
        return;
    struct found before = survey(&tree);
    check(before.nodes > 4 && before.reservations == 0, "it has nodes, and no reservation");
    pmu_events_init(&tree);
    check(pmu_event_counters(GENERAL_CYCLES, 0) == 0x7fff8 && pmu_event_selector(GENERAL_CYCLES, 0) == 1 &&
              pmu_event_counters(7, 0) == 0,
          "its counters can count cycles, and no bus cycles");

    check(!fdt_reserve(&tree, BASE, SIZE, NEXT), "a reservation is added in place");
    check((uint64_t)tree.base == COPY && reserved(&tree, before.nodes + 2), "with /reserved-memory around it");
    struct found once = survey(&tree);
    check(!fdt_reserve(&tree, BASE, SIZE, NEXT) && survey(&tree).nodes == once.nodes, "not a second time");
    check(!fdt_reserve(&tree, BASE + SIZE, SIZE, NEXT) && survey(&tree).nodes == once.nodes + 1,
          "another one finds /reserved-memory there");

    /* With the next stage right behind it the tree cannot grow; a page in front of it is room for a small one only. */
    copy_tree();
    fdt_open(&tree, COPY);
    if (fdt_reserve(&tree, BASE, SIZE, COPY + original_size))
        check((uint64_t)tree.base == COPY && survey(&tree).nodes == before.nodes, "without room behind it the tree stays or moves");
    else
        check((uint64_t)tree.base + tree.total_size <= COPY && survey(&tree).nodes == before.nodes + 2,
              "without room behind it the tree stays or moves");

    /* The same at the end of memory, with the next stage elsewhere: it moves. */
    uint64_t end = BASE + memory_size(&tree);
    uint64_t last = (end - original_size) & ~7UL;
    memcpy((void *)last, (void *)COPY, original_size);
    check(!fdt_open(&tree, last) && !fdt_reserve(&tree, BASE, SIZE, NEXT), "at the end of memory");
    check((uint64_t)tree.base < NEXT && reserved(&tree, before.nodes + 2), "it moves to before the next stage");
}

static uint32_t random_state = 1;

static uint32_t random(void)
{
    random_state = random_state * 1664525 + 1013904223;
    return random_state >> 8;
}

static void read_broken(unsigned *refused, unsigned *read)
{
    struct fdt tree;

    if (fdt_open(&tree, COPY)) {
        ++*refused;
        return;
    }
    ++*read;
    survey(&tree);
    platform_init(&tree);
    pmu_events_init(&tree);
    if (!fdt_reserve(&tree, BASE, SIZE, NEXT))
        survey(&tree);
}

static void test_broken(void)
{
    static const uint32_t values[] = { 0, 1, 2, 3, 4, 9, 0x7fffffff, 0x80000000, 0xfffffffc, 0xffffffff };
    unsigned refused = 0, read = 0, tries = 0;

    for (uint32_t word = 0; word < 40; word += 4) {
        for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++, tries++) {
            copy_tree();
            fdt_put32((uint8_t *)COPY + word, values[i]);
            read_broken(&refused, &read);
        }
    }
    for (unsigned i = 0; i < 1000; i++, tries++) {
        copy_tree();
        uint32_t at = random() % original_size & ~3u;
        fdt_put32((uint8_t *)COPY + at, i % 2 ? values[random() % 10] : random());
        read_broken(&refused, &read);
    }
    for (unsigned i = 0; i < 300; i++, tries++) {
        copy_tree();
        *((uint8_t *)COPY + random() % original_size) = (uint8_t)random();
        read_broken(&refused, &read);
    }
    platform_init(NULL);
    check(refused + read == tries && refused > 0 && read > 0, "1400 broken trees are refused or read");
    struct fdt tree;
    check(fdt_open(&tree, 0) && fdt_open(&tree, COPY + 2) && fdt_open(&tree, 0x01000000) && fdt_open(&tree, -16UL),
          "addresses without a tree are refused");
}

_Noreturn void test_main(uint64_t tree_addr)
{
    harts_init();
    platform_init(NULL);
    console_init();
    csr_write(mtvec, (unsigned long)trap_vector);
    original = tree_addr;
    original_size = fdt_get32((uint8_t *)tree_addr + FDT_TOTALSIZE);
    test_good();
    test_broken();
    finish();
}
