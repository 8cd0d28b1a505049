/* SPDX-License-Identifier: MIT */
/*
 * Page faults of every kind. Each step makes one access with one instruction (a probe) and prints the faults that it led to, with
 * stval and sepc relative to what they should point to, and how it ended. A step may have a fixer, which maps
 * something so that the access succeeds when it is tried again; without one the access is given up.
 *
 * Harts differ in who sets the A and D bits: hardware, or a fault (Svade). Where that is a fault, the bits are set here without
 * printing it, so the text is the same.
 */
#include "pagefault.h"

#include "csr.h"
#include "paging.h"
#include "print.h"
#include "sbi.h"
#include "trap.h"

#define READ (PTE_V | PTE_R | PTE_A)
#define WRITE (READ | PTE_W | PTE_D)

/* Leaf functions, so that giving up an access is going back to ra. */
uint64_t probe_load(uint64_t va);
void probe_store(uint64_t va);
void probe_fetch(uint64_t va);
__asm__("    .text\n"
        "    .balign 4\n"
        "probe_load:  ld a0, (a0)\n"
        "             ret\n"
        "    .balign 4\n"
        "probe_store: sd a0, (a0)\n"
        "             ret\n"
        "    .balign 4\n"
        "probe_fetch: jr a0\n");

enum probe { LOAD, STORE, FETCH };

static const char *const probe_names[] = { "load", "store", "fetch" };
static const unsigned page_fault[] = { EXC_LOAD_PAGE, EXC_STORE_PAGE, EXC_FETCH_PAGE };

static struct {
    enum probe probe;
    uint64_t base;                      /* what stval is printed relative to */
    void (*fix)(uint64_t va);           /* NULL: give up */
    unsigned faults;
    bool given_up, quiet;
} step;

/* A fault that only wants A or D to be set. */
static bool set_accessed(uint64_t va)
{
    uint64_t *pte = pte_find(va);
    uint64_t permission = step.probe == LOAD ? PTE_R : step.probe == STORE ? PTE_W : PTE_X;
    uint64_t wanted = PTE_A | (step.probe == STORE ? PTE_D : 0);

    if (!pte || !(*pte & permission) || (*pte & PTE_U) || (*pte & wanted) == wanted)
        return false;
    *pte |= wanted;
    fence_vma();
    return true;
}

static const char *place(uint64_t sepc, uint64_t va)
{
    if (sepc == (uint64_t)probe_load)
        return "at the load";
    if (sepc == (uint64_t)probe_store)
        return "at the store";
    return sepc == va ? "at the target" : "SOMEWHERE ELSE";
}

void trap(struct trap_frame *frame, uint64_t scause, uint64_t stval)
{
    if (scause != EXC_LOAD_PAGE && scause != EXC_STORE_PAGE && scause != EXC_FETCH_PAGE)
        trap_unexpected(frame, scause, stval);
    if (scause == page_fault[step.probe] && set_accessed(stval))
        return;
    if (++step.faults > 16)
        trap_unexpected(frame, scause, stval);
    if (!step.quiet)
        print("    %s page fault (%lu), stval base+0x%lx, sepc %s\n",
              scause == EXC_LOAD_PAGE ? "load" : scause == EXC_STORE_PAGE ? "store" : "fetch", scause, stval - step.base,
              place(frame->sepc, stval));
    if (step.fix) {
        step.fix(stval);
    } else {
        step.given_up = true;
        frame->sepc = frame->ra;
    }
}

static uint64_t access(enum probe probe, uint64_t va)
{
    if (probe == LOAD)
        return probe_load(va);
    if (probe == STORE)
        probe_store(va);
    else
        probe_fetch(va);
    return 0;
}

/* One access at base + offset. */
static uint64_t try(const char *title, enum probe probe, uint64_t base, uint64_t offset, void (*fix)(uint64_t va))
{
    step.probe = probe;
    step.base = base;
    step.fix = fix;
    step.faults = 0;
    step.given_up = false;
    step.quiet = false;
    print("  %s\n", title);
    uint64_t value = access(probe, base + offset);
    print("    the %s %s\n", probe_names[probe], step.given_up ? "is given up" : "succeeds");
    return value;
}

static void print_bits(uint64_t va)
{
    uint64_t pte = *pte_find(va);

    print("    now A=%u D=%u\n", (pte & PTE_A) != 0, (pte & PTE_D) != 0);
}

static void map_read_only(uint64_t va)
{
    map(va, page_alloc(), 0, PTE_V | PTE_R);
}

static void make_writable(uint64_t va)
{
    *pte_find(va) |= PTE_W;
    fence_vma();
}

static void map_code(uint64_t va)
{
    uint64_t page = page_alloc();

    *(uint16_t *)page = 0x8082;                 /* ret */
    *(uint16_t *)(page + 0x40) = 0x8082;
    __asm__ volatile("fence.i" : : : "memory");
    map(va, page, 0, PTE_V | PTE_X);
}

static void map_zeros(uint64_t va)
{
    map(va, page_alloc(), 0, WRITE);
}

static void demand(uint64_t base)
{
    print("Demand mapping\n");
    try("load, nothing mapped: map it read-only", LOAD, base, 0x008, map_read_only);
    print_bits(base);
    try("store to it: make it writable", STORE, base, 0x010, make_writable);
    print_bits(base);
    uint64_t value = try("load what was stored", LOAD, base, 0x010, 0);
    print("    it is %s\n", value == base + 0x010 ? "what was stored" : "SOMETHING ELSE");
    try("fetch from it: not executable", FETCH, base, 0x010, 0);
    try("fetch, nothing mapped: map code", FETCH, base + PAGE_SIZE, 0x040, map_code);
    print_bits(base + PAGE_SIZE);

    uint64_t area = base + 0x100000;
    print("  store to 8 pages in turn, twice\n");
    for (unsigned round = 0; round < 2; round++) {
        step.probe = STORE;
        step.fix = map_zeros;
        step.faults = 0;
        step.quiet = true;
        for (unsigned i = 0; i < 8; i++)
            probe_store(area + i * PAGE_SIZE + 8 * i);
        print("    %u faults\n", step.faults);
    }
}

static void permissions(uint64_t base)
{
    uint64_t page = page_alloc();

    print("Permissions\n");
    map(base, page, 0, PTE_V | PTE_X | PTE_A);
    try("load from an execute-only page", LOAD, base, 0, 0);
    csr_set(sstatus, SSTATUS_MXR);
    try("the same with sstatus.MXR", LOAD, base, 0, 0);
    csr_clear(sstatus, SSTATUS_MXR);
    map(base, page, 0, WRITE | PTE_X | PTE_U);
    try("store to a user's page", STORE, base, 0x20, 0);
    csr_set(sstatus, SSTATUS_SUM);
    try("the same with sstatus.SUM", STORE, base, 0x20, 0);
    fence_vma();        /* QEMU 7.2 would fetch by the translation that the store has left, without looking at U again */
    try("fetch from it, SUM or not", FETCH, base, 0, 0);
    csr_clear(sstatus, SSTATUS_SUM);
    map(base, page, 0, PTE_V | PTE_W | PTE_A | PTE_D);
    try("load from W without R, a reserved encoding", LOAD, base, 0, 0);
    map(base, page, 0, WRITE & ~PTE_V);
    try("store with all permissions, but not V", STORE, base, 0, 0);
}

static volatile uint64_t cell = 0x1122334455667788;

static void superpages(uint64_t base, unsigned levels)
{
    static const char *const sizes[] = { "4 KiB", "2 MiB", "1 GiB", "512 GiB" };

    print("Superpages\n");
    for (unsigned level = 1; level < levels; level++) {
        uint64_t size = PAGE_SIZE << (9 * level);
        uint64_t va = (base | (size - 1)) + 1;
        uint64_t pa = (uint64_t)&cell & ~(size - 1);
        uint64_t offset = (uint64_t)&cell - pa;

        print(" %s\n", sizes[level]);
        map(va, pa, level, PTE_V | PTE_R | PTE_W);
        uint64_t value = try("load a variable through it", LOAD, va + offset, 0, 0);
        print("    it is %s\n", value == cell ? "the variable" : "SOMETHING ELSE");
        print_bits(va);
        try("store to it", STORE, va + offset, 0, 0);
        print("    %s\n", cell == va + offset ? "the variable has changed" : "NOTHING HAS CHANGED");
        print_bits(va);
        map(va, pa + PAGE_SIZE, level, READ);
        try("load through one that is not aligned", LOAD, va, 0, 0);
    }
}

static void edges(uint64_t base, unsigned levels)
{
    uint64_t lower_end = 1UL << (11 + 9 * levels), upper = -lower_end;

    print("Edges\n");
    map(base, page_alloc(), 0, READ);
    try("load across into an unmapped page", LOAD, base, PAGE_SIZE - 4, 0);
    map(base, page_alloc(), 0, WRITE);
    try("store across into an unmapped page", STORE, base, PAGE_SIZE - 2, 0);
    try("load from the first address of the upper half", LOAD, upper, 0, map_zeros);
    try("load from the last page of the lower half", LOAD, lower_end - PAGE_SIZE, 0xff8, map_zeros);
    try("load from the first address that is in neither", LOAD, lower_end, 0, 0);
    try("fetch from there", FETCH, lower_end, 0, 0);
    try("load from the last address that is in neither", LOAD, upper - 8, 0, 0);
}

int pagefault_demo(unsigned levels)
{
    uint64_t base = levels == 3 ? 0x1000000000 : 0x500000000000;

    trap_install();
    if (!paging_init(levels)) {
        print("This hart has no Sv%u.\n", 12 + 9 * levels);
        return 1;
    }
    print("Sv%u is on.\n", 12 + 9 * levels);
    demand(base);
    permissions(base + 0x200000);
    edges(base + 0x400000, levels);
    superpages(base + 0x40000000, levels);
    return 0;
}
