/* SPDX-License-Identifier: MIT */
/* The firmware's memory: where it is, and keeping the lower modes out of it. */
#ifndef PMP_H
#define PMP_H

#include <stdbool.h>
#include <stdint.h>

/* The naturally aligned power of two that the firmware occupies (link.ld). */
uint64_t firmware_base(void);
uint64_t firmware_size(void);

/* Whether [addr, addr + size) shares a byte with it. A range that wraps around the address space counts as touching. */
bool firmware_overlaps(uint64_t addr, uint64_t size);

void pmp_init(void);                    /* for this hart */
bool pmp_active(void);                  /* false if the harts have no PMP, and nothing is protected */
#endif
