/* SPDX-License-Identifier: MIT */
/* The machine around the harts: where its devices are, and what they are used for here. */
#ifndef PLATFORM_H
#define PLATFORM_H

#include <stdbool.h>
#include <stdint.h>

struct fdt;

struct platform {
    uint64_t uart;                      /* 16550; 0 if there is none */
    unsigned uart_reg_shift;
    uint64_t clint;
    uint64_t finisher;                  /* test finisher ("syscon"); 0 if there is none */
    uint32_t harts;                     /* bit n: hart n exists; 0 if the device tree did not say */
};

extern struct platform platform;

void platform_init(const struct fdt *tree);     /* NULL: the defaults, which are those of QEMU's virt */

uint32_t platform_harts(void);                  /* bit n: hart n exists */

/* CLINT */
void platform_raise_msip(unsigned hart);
void platform_clear_msip(unsigned hart);
uint64_t platform_time(void);
void platform_set_timer(unsigned hart, uint64_t time);

/* Test finisher. The values are what the device takes: a code in the upper half, the command in the lower. */
enum stop {
    STOP_PASS = 0x5555,
    STOP_FAIL = 1 << 16 | 0x3333,
    STOP_RESET = 0x7777,
};
_Noreturn void platform_stop(enum stop how);
#endif
