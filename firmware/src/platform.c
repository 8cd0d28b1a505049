/* SPDX-License-Identifier: MIT */
/*
 * Devices, found in the device tree by what they are compatible with. The defaults are those of QEMU's virt machine:
 *
 *   0x0010_0000  test finisher    +0          a 32-bit store ends the machine
 *   0x0200_0000  CLINT            +0x0000     msip, 4 bytes per hart: bit 0 raises the software interrupt
 *                                 +0x4000     mtimecmp, 8 bytes per hart
 *                                 +0xbff8     mtime
 *   0x1000_0000  UART 16550
 */
#include "platform.h"

#include <stddef.h>

#include "csr.h"
#include "fdt.h"
#include "hart.h"

#define CLINT_MSIP 0x0
#define CLINT_MTIMECMP 0x4000
#define CLINT_MTIME 0xbff8

struct platform platform;
extern uint32_t harts_arrived;          /* entry.S */

static void visit(const struct fdt_node *node, void *unused)
{
    uint64_t base;

    (void)unused;
    if (!fdt_node_enabled(node))
        return;
    if (fdt_node_is_cpu(node)) {
        if (fdt_node_reg(node, &base, NULL) && base < MAX_HARTS)
            platform.harts |= 1u << base;
        return;
    }
    if (!fdt_node_reg(node, &base, NULL))
        return;
    if (fdt_node_compatible(node, "ns16550a") || fdt_node_compatible(node, "ns16550")) {
        uint32_t shift = fdt_node_u32(node, "reg-shift", 0);
        if (platform.uart == 0 && shift <= 4) {
            platform.uart = base;
            platform.uart_reg_shift = shift;
        }
    } else if (fdt_node_compatible(node, "riscv,clint0") || fdt_node_compatible(node, "sifive,clint0")) {
        if (platform.clint == 0)
            platform.clint = base;
    } else if (fdt_node_compatible(node, "sifive,test0") || fdt_node_compatible(node, "sifive,test1")) {
        if (platform.finisher == 0)
            platform.finisher = base;
    }
}

void platform_init(const struct fdt *tree)
{
    platform = (struct platform){ 0 };
    if (tree)
        fdt_walk(tree, visit, NULL);
    else
        platform = (struct platform){ .uart = 0x10000000, .finisher = 0x100000 };
    if (platform.clint == 0)
        platform.clint = 0x2000000;     /* nothing works without one */
}

uint32_t platform_harts(void)
{
    return platform.harts ? platform.harts : __atomic_load_n(&harts_arrived, __ATOMIC_RELAXED);
}

static void write32(uint64_t addr, uint32_t value)
{
    *(volatile uint32_t *)addr = value;
}

void platform_raise_msip(unsigned hart)
{
    __asm__ volatile("fence rw, o" : : : "memory");     /* what the interrupt is about is in memory first */
    write32(platform.clint + CLINT_MSIP + 4 * hart, 1);
}

void platform_clear_msip(unsigned hart)
{
    write32(platform.clint + CLINT_MSIP + 4 * hart, 0);
    __asm__ volatile("fence o, rw" : : : "memory");     /* whoever raises it after this has not been seen yet */
}

uint64_t platform_time(void)
{
    return *(volatile uint64_t *)(platform.clint + CLINT_MTIME);
}

void platform_set_timer(unsigned hart, uint64_t time)
{
    *(volatile uint64_t *)(platform.clint + CLINT_MTIMECMP + 8 * hart) = time;
}

_Noreturn void platform_stop(enum stop how)
{
    if (platform.finisher)
        write32(platform.finisher, how);
    csr_write(mie, 0);                  /* no such device: the hart at least stops here */
    for (;;)
        wfi();
}
