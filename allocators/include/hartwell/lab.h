/* SPDX-License-Identifier: MIT */
/*
 * The allocator lab's C interface: what an allocator under test has to be, and what it may use.
 *
 * An allocator is one freestanding ELF file, linked with the lab's link.ld. Its functions run on the harts of an emulated
 * RISC-V machine: in S-mode, under the kernel's page table, with interrupts off, on any hart, on several at once. There is no
 * C library, no floating point, and a stack of 16 KiB. It exports one of two sets of functions.
 *
 * A frame allocator hands out physical memory by pages of 4096 bytes:
 *
 *     void      hartwell_frame_add_free_memory(uintptr_t paddr, size_t size);
 *     uintptr_t hartwell_frame_alloc(size_t size, size_t align);
 *     void      hartwell_frame_dealloc(uintptr_t paddr, size_t size);
 *
 * A heap allocator hands out bytes:
 *
 *     void      hartwell_heap_add_free_memory(void *start, size_t size);
 *     void     *hartwell_heap_alloc(size_t size, size_t align);
 *     void      hartwell_heap_dealloc(void *start, size_t size, size_t align);
 *
 * Either may export, to be called once, on hart 0, before all else:
 *     void      hartwell_init(void);
 *
 * and, if it keeps freed memory in caches where no other request finds it, to be called when all is to be had:
 *     void      hartwell_reclaim(void);
 *
 * and, if it has that, memory that is all zero:
 *     uintptr_t hartwell_frame_alloc_zeroed(size_t size, size_t align);
 *     void     *hartwell_heap_alloc_zeroed(size_t size, size_t align);
 *
 * What is expected of them is said at their declarations below, and is tested. docs/lab-abi.md: the same, C++ and Rust.
 */
#ifndef HARTWELL_LAB_H
#define HARTWELL_LAB_H

#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
#define _Noreturn __attribute__((noreturn))     /* which C++ spells otherwise */
extern "C" {
#endif

#define HARTWELL_PAGE_SIZE      4096
#define HARTWELL_PAGE_SHIFT     12
#define HARTWELL_MAX_CPUS       8

/* Where physical memory begins, and where the kernel's page table has all of it: the linear mapping. */
#define HARTWELL_RAM            0x80000000ul
#define HARTWELL_LINEAR         0xffff800000000000ul

/* ------------------------------------------------------------------------------------------- what you define */

void hartwell_init(void);
void hartwell_reclaim(void);

/*
 * `size` bytes of physical memory from `paddr` on, both multiples of 4096, are yours from now on. Their contents are anything.
 * Called at least once before the first allocation, later and for several ranges, too. What is handed out later comes from
 * them and from nowhere else.
 */
void hartwell_frame_add_free_memory(uintptr_t paddr, size_t size);

/*
 * The physical address of `size` bytes in a row, a multiple of `align`; 0 if there is no such memory. `size` is a multiple of
 * 4096, not always a power of two; `align` is a power of two, and a page's alignment is the least that you give. The memory
 * belongs to the caller until it is freed: do not write to it. It need not be zeroed.
 */
uintptr_t hartwell_frame_alloc(size_t size, size_t align);

/*
 * Take back `size` bytes from `paddr` on: an allocation, or any part of one that consists of whole pages; the other parts stay
 * the caller's, and come back later in any order. When all has come back, all can be had again in blocks as large as at first.
 */
void hartwell_frame_dealloc(uintptr_t paddr, size_t size);

/* `size` bytes from `start` on are yours; both are multiples of 4096, and the addresses are those of the linear mapping. */
void hartwell_heap_add_free_memory(void *start, size_t size);

/*
 * The address of `size` bytes (at least 1), a multiple of `align` (a power of two, also more than a page); NULL if there is no
 * such memory. The bytes belong to the caller until they are freed: do not write to them.
 */
void *hartwell_heap_alloc(size_t size, size_t align);

/* Take back the block at `start`, which hartwell_heap_alloc(size, align) returned. */
void hartwell_heap_dealloc(void *start, size_t size, size_t align);

/* As the functions without _zeroed, and each byte of the memory is 0. Neither has to be there. */
uintptr_t hartwell_frame_alloc_zeroed(size_t size, size_t align);
void *hartwell_heap_alloc_zeroed(size_t size, size_t align);

/*
 * Promises: an allocator that makes one is held to it. HARTWELL_PROMISE(x) defines the symbol hartwell_x.
 *
 *     refuses_misuse      freeing a block a second time, memory that was never handed out, or what does not begin where a page
 *                         (a frame) or a multiple of 8 (a heap block) does: panics, and changes nothing
 *     bounded_time        what a call takes does not grow with the number of blocks, free ones or others
 */
#define HARTWELL_PROMISE(what)  const uint8_t hartwell_##what = 1

/* ------------------------------------------------------------------------------------------- what you may use */

/* The number of the CPU that this runs on, from 0 on. The calls of one CPU never interrupt each other. */
static inline unsigned hartwell_cpu(void)
{
    uint64_t tp;
    __asm__ volatile("mv %0, tp" : "=r"(tp));
    return (unsigned)(tp & 0xffffffff);
}

/* How many CPUs there are. */
static inline unsigned hartwell_cpus(void)
{
    uint64_t tp;
    __asm__ volatile("mv %0, tp" : "=r"(tp));
    return (unsigned)(tp >> 32);
}

/* Where the byte of physical memory at `paddr` can be accessed. */
static inline void *hartwell_virtual(uintptr_t paddr)
{
    return (void *)(paddr + HARTWELL_LINEAR);
}

/* The physical address of what `pointer`, an address of the linear mapping, points to. */
static inline uintptr_t hartwell_physical(const void *pointer)
{
    return (uintptr_t)pointer - HARTWELL_LINEAR;
}

/*
 * Give up: the call is reported as failed with `text`, and never returns. For what only a bug of the caller's or your own can
 * bring about: a block freed twice, a list that is no list. Memory being out is no reason: return 0.
 */
static inline _Noreturn void hartwell_panic(const char *text)
{
    register const char *a0 __asm__("a0") = text;
    for (;;)
        __asm__ volatile(".insn r 0x0b, 0, 16, x0, x0, x0" : : "r"(a0) : "memory");
}

/* A spin lock; all zero is free. Not recursive: a CPU that locks it twice waits for itself for ever. */
struct hartwell_lock {
    uint32_t word;
};

/* Wait until nobody has the lock, and take it. */
static inline void hartwell_lock(struct hartwell_lock *lock)
{
    while (__atomic_exchange_n(&lock->word, 1, __ATOMIC_ACQUIRE))
        while (__atomic_load_n(&lock->word, __ATOMIC_RELAXED))
            __asm__ volatile(".word 0x0100000f");                   /* pause: let the other CPU go on */
}

/* Give the lock back. What was written before is seen by whoever locks it next. */
static inline void hartwell_unlock(struct hartwell_lock *lock)
{
    __atomic_store_n(&lock->word, 0, __ATOMIC_RELEASE);
}

#ifdef __cplusplus
}
#undef HARTWELL_PROMISE                         /* a const has no name outside of its file there */
#define HARTWELL_PROMISE(what)  extern "C" const uint8_t hartwell_##what = 1
#endif

#endif
