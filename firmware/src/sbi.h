/* SPDX-License-Identifier: MIT */
/* The supervisor binary interface: RISC-V SBI Specification v2.0. Section numbers in comments are that document's. */
#ifndef SBI_H
#define SBI_H

#include <stdbool.h>
#include <stdint.h>

#include "trap.h"

#define SBI_VERSION_MAJOR 2
#define SBI_VERSION_MINOR 0

/*
 * Implementation ids are assigned in the specification's table (4.9), densely from 0. This one, "HW" in ASCII, is far above the
 * assigned ones and assigned to nobody.
 */
#define SBI_IMPL_ID 0x4857
#define SBI_IMPL_VERSION 0x10000        /* 1.0 */

/* Standard error codes (chapter 3) */
#define SBI_SUCCESS 0
#define SBI_ERR_FAILED (-1)
#define SBI_ERR_NOT_SUPPORTED (-2)
#define SBI_ERR_INVALID_PARAM (-3)
#define SBI_ERR_DENIED (-4)
#define SBI_ERR_INVALID_ADDRESS (-5)
#define SBI_ERR_ALREADY_AVAILABLE (-6)
#define SBI_ERR_ALREADY_STARTED (-7)
#define SBI_ERR_ALREADY_STOPPED (-8)
#define SBI_ERR_NO_SHMEM (-9)

#define SBI_EXT_LEGACY_FIRST 0x0
#define SBI_EXT_LEGACY_LAST 0x8
#define SBI_EXT_BASE 0x10
#define SBI_EXT_TIME 0x54494d45
#define SBI_EXT_IPI 0x735049
#define SBI_EXT_RFENCE 0x52464e43
#define SBI_EXT_HSM 0x48534d
#define SBI_EXT_SRST 0x53525354
#define SBI_EXT_DBCN 0x4442434e
#define SBI_EXT_PMU 0x504d55

struct sbiret {
    long error;
    unsigned long value;
};

/* A call's function id is in a6, its arguments are in a0 to a5. */
typedef struct sbiret sbi_function(unsigned long fid, const uint64_t args[6]);

sbi_function sbi_base, sbi_time, sbi_ipi, sbi_rfence, sbi_hsm, sbi_srst, sbi_dbcn, sbi_pmu;

/* Legacy calls return in a0 only, and their hart masks are in the caller's memory, where they may fault. */
void sbi_legacy(struct trap_frame *frame);

bool sbi_extension_present(unsigned long eid);

/*
 * Hart list parameter (3.1): `mask` counted from `base`, or every hart if base is -1. Stores the set in *harts.
 * SBI_ERR_INVALID_PARAM if it names a hart that does not exist.
 */
long sbi_hart_mask(uint64_t mask, uint64_t base, uint32_t *harts);

static inline struct sbiret sbi_error(long error)
{
    return (struct sbiret){ error, 0 };
}

static inline struct sbiret sbi_value(unsigned long value)
{
    return (struct sbiret){ SBI_SUCCESS, value };
}

/* Parts that the legacy calls and the trap handlers share with an extension. */
void time_set(uint64_t when);           /* sbi_time.c */
void time_expired(void);
void ipi_send_supervisor(uint32_t harts);       /* sbi_ipi.c */
#endif
