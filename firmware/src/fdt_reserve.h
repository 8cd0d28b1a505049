/* SPDX-License-Identifier: MIT */
#ifndef FDT_RESERVE_H
#define FDT_RESERVE_H

#include "fdt.h"

/*
 * Tell the next stage, by a no-map child of /reserved-memory, that [base, base + size) is not its memory. The tree grows,
 * and may move: tree->base. Returns NULL, or why it could not be done; the tree is unchanged then.
 */
const char *fdt_reserve(struct fdt *tree, uint64_t base, uint64_t size, uint64_t next_addr);
#endif
