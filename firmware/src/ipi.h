/* SPDX-License-Identifier: MIT */
/* One hart telling another to do something. */
#ifndef IPI_H
#define IPI_H

#include "hart.h"

enum {
    IPI_S_SOFT = 1 << 0,                /* raise the supervisor's software interrupt */
    IPI_WAKE = 1 << 1,                  /* look at your hsm_state again */
    IPI_FENCE = 1 << 2,                 /* look at your fence_from */
};

void ipi_send(struct hart *to, uint32_t what);

/* Take and do what others have sent to this hart. */
void ipi_receive(void);
#endif
