/* SPDX-License-Identifier: MIT */
/*
 * Race programs: guest code of any kind whose interleavings `hartwell lab race` searches.
 *
 *     hartwell_race_init()          once, on CPU 0, before each execution begins (it may be missing)
 *     hartwell_race_thread(n)       on CPU n, all CPUs at once: what is searched
 *     hartwell_race_check()         once, on CPU 0, when all have returned: NULL, or what is wrong, in a few words
 *
 * It is one freestanding ELF file, linked with the lab's link.ld. Its functions run as those of an allocator do (lab.h): in
 * S-mode, interrupts off, on a stack of 16 KiB of each CPU. Every access to the variables of the program (.data and .bss) is a
 * place where the search may let another CPU go on; those to the stacks are not. hartwell_panic ends an execution as wrong, at
 * the very access.
 */
#ifndef HARTWELL_RACE_H
#define HARTWELL_RACE_H

#include <hartwell/lab.h>

void hartwell_race_init(void);
void hartwell_race_thread(unsigned long number);
const char *hartwell_race_check(void);

#endif
