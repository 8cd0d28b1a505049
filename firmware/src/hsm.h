/* SPDX-License-Identifier: MIT */
/* The life of a hart, as the Hart State Management extension numbers it. sbi_hsm.c draws it. */
#ifndef HSM_H
#define HSM_H

#include <stdbool.h>

#include "hart.h"

enum hsm_state {
    HSM_STARTED = 0,
    HSM_STOPPED = 1,
    HSM_START_PENDING = 2,
    HSM_STOP_PENDING = 3,
    HSM_SUSPENDED = 4,
    HSM_SUSPEND_PENDING = 5,
    HSM_RESUME_PENDING = 6,
};

uint32_t hsm_state(const struct hart *hart);
void hsm_set_state(struct hart *hart, enum hsm_state state);

/* Whether interrupts and fences are meant for it: in any state but stopped or stopping. */
bool hsm_is_awake(const struct hart *hart);

/* Sleep until another hart starts this one, then enter S-mode. */
_Noreturn void hsm_park(void);
#endif
