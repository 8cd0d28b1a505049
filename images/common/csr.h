/* SPDX-License-Identifier: MIT */
/* The supervisor's CSRs. */
#ifndef CSR_H
#define CSR_H

#define SSTATUS_SIE (1UL << 1)
#define SSTATUS_SPIE (1UL << 5)
#define SSTATUS_SPP (1UL << 8)
#define SSTATUS_FS (3UL << 13)
#define SSTATUS_SUM (1UL << 18)
#define SSTATUS_MXR (1UL << 19)

/* sie, sip */
#define SIP_SSIP (1UL << 1)
#define SIP_STIP (1UL << 5)
#define SIP_SEIP (1UL << 9)

/* scause */
#define CAUSE_INTERRUPT (1UL << 63)
#define IRQ_SOFT (CAUSE_INTERRUPT | 1)
#define IRQ_TIMER (CAUSE_INTERRUPT | 5)
#define IRQ_EXTERNAL (CAUSE_INTERRUPT | 9)
#define EXC_FETCH_ACCESS 1
#define EXC_ILLEGAL 2
#define EXC_BREAKPOINT 3
#define EXC_LOAD_ACCESS 5
#define EXC_STORE_ACCESS 7
#define EXC_FETCH_PAGE 12
#define EXC_LOAD_PAGE 13
#define EXC_STORE_PAGE 15

#define csr_read(csr)                                                         \
    ({                                                                        \
        unsigned long value_;                                                 \
        __asm__ volatile("csrr %0, " #csr : "=r"(value_) : : "memory");      \
        value_;                                                               \
    })
#define csr_write(csr, value) __asm__ volatile("csrw " #csr ", %0" : : "rK"((unsigned long)(value)) : "memory")
#define csr_set(csr, bits) __asm__ volatile("csrs " #csr ", %0" : : "rK"((unsigned long)(bits)) : "memory")
#define csr_clear(csr, bits) __asm__ volatile("csrc " #csr ", %0" : : "rK"((unsigned long)(bits)) : "memory")

static inline void wfi(void)
{
    __asm__ volatile("wfi" : : : "memory");
}

/*
 * Sleep until `condition`, which an interrupt handler makes true. Interrupts are off while it is tested, so that the one that
 * is waited for cannot come between the test and the wfi; wfi ends for a pending interrupt all the same.
 */
#define wait_until(condition)                  \
    do {                                       \
        csr_clear(sstatus, SSTATUS_SIE);       \
        while (!(condition)) {                 \
            wfi();                             \
            csr_set(sstatus, SSTATUS_SIE);     \
            csr_clear(sstatus, SSTATUS_SIE);   \
        }                                      \
        csr_set(sstatus, SSTATUS_SIE);         \
    } while (0)
#endif
