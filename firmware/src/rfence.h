/* SPDX-License-Identifier: MIT */
/* Fences that one hart asks of others. */
#ifndef RFENCE_H
#define RFENCE_H

#include <stdint.h>

enum fence_kind { FENCE_I, FENCE_VMA, FENCE_VMA_ASID };

struct fence_request {
    enum fence_kind kind;
    uint64_t start, size;
    uint64_t asid;
    uint32_t outstanding;               /* harts that have not done it yet */
};

/* Have all of `harts` do the fence; returns when they have. */
void rfence(uint32_t harts, enum fence_kind kind, uint64_t start, uint64_t size, uint64_t asid);

/* Do the fences that others have asked of this hart. */
void rfence_receive(void);
#endif
