/* SPDX-License-Identifier: MIT */
/* CSR numbers, their fields, and the few ways in which this firmware touches them. */
#ifndef CSR_H
#define CSR_H

#define PRV_U 0
#define PRV_S 1
#define PRV_M 3

/* mstatus */
#define MSTATUS_SIE (1UL << 1)
#define MSTATUS_MIE (1UL << 3)
#define MSTATUS_SPIE (1UL << 5)
#define MSTATUS_MPIE (1UL << 7)
#define MSTATUS_SPP (1UL << 8)
#define MSTATUS_VS (3UL << 9)
#define MSTATUS_VS_INITIAL (1UL << 9)
#define MSTATUS_MPP_SHIFT 11
#define MSTATUS_MPP (3UL << MSTATUS_MPP_SHIFT)
#define MSTATUS_FS (3UL << 13)
#define MSTATUS_FS_INITIAL (1UL << 13)
#define MSTATUS_MPRV (1UL << 17)
#define MSTATUS_SUM (1UL << 18)
#define MSTATUS_MXR (1UL << 19)
#define MSTATUS_MPV (1UL << 39)

/* mie, mip, mideleg, and the interrupt numbers in mcause */
#define IRQ_S_SOFT 1
#define IRQ_M_SOFT 3
#define IRQ_S_TIMER 5
#define IRQ_M_TIMER 7
#define IRQ_S_EXT 9
#define MIP_SSIP (1UL << IRQ_S_SOFT)
#define MIP_MSIP (1UL << IRQ_M_SOFT)
#define MIP_STIP (1UL << IRQ_S_TIMER)
#define MIP_MTIP (1UL << IRQ_M_TIMER)
#define MIP_SEIP (1UL << IRQ_S_EXT)
#define MCAUSE_INTERRUPT (1UL << 63)

/* Exceptions in mcause */
#define EXC_FETCH_MISALIGNED 0
#define EXC_FETCH_ACCESS 1
#define EXC_ILLEGAL 2
#define EXC_BREAKPOINT 3
#define EXC_LOAD_MISALIGNED 4
#define EXC_LOAD_ACCESS 5
#define EXC_STORE_MISALIGNED 6
#define EXC_STORE_ACCESS 7
#define EXC_ECALL_U 8
#define EXC_ECALL_S 9
#define EXC_ECALL_M 11
#define EXC_FETCH_PAGE 12
#define EXC_LOAD_PAGE 13
#define EXC_STORE_PAGE 15

/* menvcfg */
#define MENVCFG_CBIE_INVAL (3UL << 4)
#define MENVCFG_CBCFE (1UL << 6)
#define MENVCFG_CBZE (1UL << 7)
#define MENVCFG_PBMTE (1UL << 62)
#define MENVCFG_STCE (1UL << 63)

/* CSRs that the assembler may not know by name with the -march in use */
#define CSR_STIMECMP 0x14d
#define CSR_MENVCFG 0x30a
#define CSR_MSTATEEN0 0x30c
#define CSR_MCOUNTINHIBIT 0x320
#define CSR_CYCLE 0xc00
#define CSR_TIME 0xc01
#define CSR_INSTRET 0xc02

#ifndef __ASSEMBLER__
#include <stdbool.h>

#define STRINGIFY_(x) #x
#define STRINGIFY(x) STRINGIFY_(x)

#define csr_read(csr)                                                                            \
    ({                                                                                           \
        unsigned long value_;                                                                    \
        __asm__ volatile("csrr %0, " STRINGIFY(csr) : "=r"(value_) : : "memory");               \
        value_;                                                                                  \
    })
#define csr_write(csr, value) \
    __asm__ volatile("csrw " STRINGIFY(csr) ", %0" : : "rK"((unsigned long)(value)) : "memory")
#define csr_set(csr, bits) \
    __asm__ volatile("csrs " STRINGIFY(csr) ", %0" : : "rK"((unsigned long)(bits)) : "memory")
#define csr_clear(csr, bits) \
    __asm__ volatile("csrc " STRINGIFY(csr) ", %0" : : "rK"((unsigned long)(bits)) : "memory")

/*
 * For CSRs that a hart may lack: mtvec points just behind the access while it runs, so that an illegal-instruction
 * trap only skips it. True if the access was carried out. The trap costs the values of mepc, mcause, mtval and
 * mstatus.{MPP,MPIE}: for start-up code, not for trap handlers.
 */
#define csr_try_write(csr, value)                                                                \
    ({                                                                                           \
        unsigned long done_ = 0, vector_;                                                        \
        __asm__ volatile("  lla %1, 1f\n"                                                        \
                         "  csrrw %1, mtvec, %1\n"                                               \
                         "  csrw " STRINGIFY(csr) ", %2\n"                                      \
                         "  li %0, 1\n"                                                          \
                         "  .balign 4\n"                                                         \
                         "1: csrw mtvec, %1\n"                                                   \
                         : "+&r"(done_), "=&r"(vector_)                                          \
                         : "r"((unsigned long)(value))                                           \
                         : "memory");                                                            \
        (bool)done_;                                                                             \
    })

static inline bool misa_has(char letter)
{
    unsigned long misa = csr_read(misa);
    return (misa >> (letter - 'a')) & 1;
}

static inline void wfi(void)
{
    __asm__ volatile("wfi" : : : "memory");
}
#endif
#endif
