/* SPDX-License-Identifier: MIT */
/* Calling the firmware: RISC-V SBI Specification v2.0. */
#ifndef SBI_H
#define SBI_H

#include <stdbool.h>
#include <stdint.h>

enum {
    SBI_SUCCESS = 0,
    SBI_ERR_FAILED = -1,
    SBI_ERR_NOT_SUPPORTED = -2,
    SBI_ERR_INVALID_PARAM = -3,
    SBI_ERR_DENIED = -4,
    SBI_ERR_INVALID_ADDRESS = -5,
    SBI_ERR_ALREADY_AVAILABLE = -6,
    SBI_ERR_ALREADY_STARTED = -7,
    SBI_ERR_ALREADY_STOPPED = -8,
    SBI_ERR_NO_SHMEM = -9,
};

enum { SBI_BASE = 0x10, SBI_TIME = 0x54494d45, SBI_IPI = 0x735049, SBI_RFENCE = 0x52464e43, SBI_HSM = 0x48534d,
       SBI_SRST = 0x53525354, SBI_DBCN = 0x4442434e, SBI_PMU = 0x504d55 };

enum { SBI_LEGACY_SET_TIMER, SBI_LEGACY_PUTCHAR, SBI_LEGACY_GETCHAR, SBI_LEGACY_CLEAR_IPI, SBI_LEGACY_SEND_IPI,
       SBI_LEGACY_FENCE_I, SBI_LEGACY_SFENCE_VMA, SBI_LEGACY_SFENCE_VMA_ASID, SBI_LEGACY_SHUTDOWN };

struct sbiret {
    long error;
    unsigned long value;
};

static inline struct sbiret sbi_call6(unsigned long eid, unsigned long fid, unsigned long x0, unsigned long x1,
                                      unsigned long x2, unsigned long x3, unsigned long x4, unsigned long x5)
{
    register unsigned long a0 __asm__("a0") = x0;
    register unsigned long a1 __asm__("a1") = x1;
    register unsigned long a2 __asm__("a2") = x2;
    register unsigned long a3 __asm__("a3") = x3;
    register unsigned long a4 __asm__("a4") = x4;
    register unsigned long a5 __asm__("a5") = x5;
    register unsigned long a6 __asm__("a6") = fid;
    register unsigned long a7 __asm__("a7") = eid;

    __asm__ volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a3), "r"(a4), "r"(a5), "r"(a6), "r"(a7) : "memory");
    return (struct sbiret){ (long)a0, a1 };
}

/* sbi_call(eid, fid, up to six arguments) */
#define sbi_call(...) sbi_call_pad_(__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define sbi_call_pad_(eid, fid, x0, x1, x2, x3, x4, x5, ...) \
    sbi_call6(eid, fid, (unsigned long)(x0), (unsigned long)(x1), (unsigned long)(x2), (unsigned long)(x3), \
              (unsigned long)(x4), (unsigned long)(x5))

static inline bool sbi_probe(unsigned long eid)
{
    struct sbiret ret = sbi_call(SBI_BASE, 3, eid);
    return ret.error == SBI_SUCCESS && ret.value != 0;
}

static inline struct sbiret sbi_set_timer(uint64_t when)
{
    return sbi_call(SBI_TIME, 0, when);
}

static inline struct sbiret sbi_send_ipi(unsigned long mask, unsigned long base)
{
    return sbi_call(SBI_IPI, 0, mask, base);
}

static inline struct sbiret sbi_hart_start(unsigned long hart, uint64_t addr, unsigned long arg)
{
    return sbi_call(SBI_HSM, 0, hart, addr, arg);
}

static inline struct sbiret sbi_hart_stop(void)
{
    return sbi_call(SBI_HSM, 1);
}

static inline struct sbiret sbi_hart_status(unsigned long hart)
{
    return sbi_call(SBI_HSM, 2, hart);
}

/* Never returns. 0: the machine passes; anything else: it fails, and the emulator's exit code is 1. */
_Noreturn void exit(int code);
#endif
