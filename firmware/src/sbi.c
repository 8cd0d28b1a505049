/* SPDX-License-Identifier: MIT */
/* The SBI's front door: which extensions there are, and how a call and its result travel in registers (chapter 3). */
#include "sbi.h"

#include "console.h"
#include "hart.h"
#include "platform.h"
#include "pmu.h"

static bool reset_present(void)
{
    return platform.finisher != 0;
}

static const struct extension {
    unsigned long id;
    sbi_function *call;
    bool (*present)(void);              /* NULL: always */
} extensions[] = {
    { SBI_EXT_BASE, sbi_base, 0 },
    { SBI_EXT_TIME, sbi_time, 0 },
    { SBI_EXT_IPI, sbi_ipi, 0 },
    { SBI_EXT_RFENCE, sbi_rfence, 0 },
    { SBI_EXT_HSM, sbi_hsm, 0 },
    { SBI_EXT_SRST, sbi_srst, reset_present },
    { SBI_EXT_DBCN, sbi_dbcn, console_present },
    { SBI_EXT_PMU, sbi_pmu, pmu_present },
};

static const struct extension *find(unsigned long id)
{
    for (unsigned i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++)
        if (extensions[i].id == id && (!extensions[i].present || extensions[i].present()))
            return &extensions[i];
    return 0;
}

bool sbi_extension_present(unsigned long id)
{
    return id <= SBI_EXT_LEGACY_LAST || find(id);
}

long sbi_hart_mask(uint64_t mask, uint64_t base, uint32_t *harts)
{
    uint32_t all = platform_harts();

    *harts = 0;
    if (base == ~0UL) {
        *harts = all;
        return SBI_SUCCESS;
    }
    if (base >= MAX_HARTS)
        return SBI_ERR_INVALID_PARAM;
    for (unsigned i = 0; i < 64; i++) {
        if (!(mask >> i & 1))
            continue;
        if (base + i >= MAX_HARTS || !(all >> (base + i) & 1))
            return SBI_ERR_INVALID_PARAM;
        *harts |= 1u << (base + i);
    }
    return SBI_SUCCESS;
}

void sbi_handle(struct trap_frame *frame)
{
    unsigned long id = frame->x[REG_A7];

    if (id <= SBI_EXT_LEGACY_LAST) {
        sbi_legacy(frame);              /* moves mepc on by itself, since it may hand a fault to the caller instead */
        return;
    }
    const struct extension *extension = find(id);
    frame->mepc += 4;                   /* first: hsm's stop and suspend do not come back here */
    struct sbiret ret = extension ? extension->call(frame->x[REG_A6], &frame->x[REG_A0])
                                  : sbi_error(SBI_ERR_NOT_SUPPORTED);
    frame->x[REG_A0] = (uint64_t)ret.error;
    frame->x[REG_A1] = ret.value;
}
