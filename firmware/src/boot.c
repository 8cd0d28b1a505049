/* SPDX-License-Identifier: MIT */
/*
 * The boot hart's way from reset to the next stage. Reads from top to bottom:
 *
 *   who are we      harts_init, platform_init     state of the harts; devices and harts from the device tree
 *                   pmu_events_init                   what counters can count, from there, too
 *   what may S do   hart_init                     delegation, counters, PMP
 *   what comes next next_stage                    address and mode, from the boot ROM or by default
 *   tell the kernel fdt_reserve                   the firmware's memory, in the device tree
 *   say so          banner
 *   let the others  boot_done                     out of entry.S and into hsm_park
 *   go              hart_enter
 */
#include <stddef.h>

#include "console.h"
#include "csr.h"
#include "dynamic_info.h"
#include "fdt.h"
#include "fdt_reserve.h"
#include "hart.h"
#include "hsm.h"
#include "ipi.h"
#include "platform.h"
#include "pmp.h"
#include "pmu_events.h"
#include "sbi.h"

#define DEFAULT_NEXT_ADDR 0x80200000

extern uint32_t boot_done;              /* entry.S */

struct next_stage {
    uint64_t addr;
    unsigned long mode;
};

static struct next_stage next_stage(const struct dynamic_info *info)
{
    struct next_stage next = { DEFAULT_NEXT_ADDR, PRV_S };

    if (info) {
        next.addr = info->next_addr;
        if (info->next_mode == PRV_U || info->next_mode == PRV_M)
            next.mode = info->next_mode;
    }
    return next;
}

static unsigned count(uint32_t bits)
{
    unsigned n = 0;

    for (; bits; bits &= bits - 1)
        n++;
    return n;
}

static const char *mode_name(unsigned long mode)
{
    return mode == PRV_M ? "M" : mode == PRV_S ? "S" : "U";
}

/* The last line of the banner is its only empty one: what follows is the next stage's. */
static void banner(uint64_t tree, const char *tree_problem, const char *reserve_problem, const struct next_stage *next)
{
    printk("Hartwell SBI %u.%u, SBI specification v%u.%u\n", SBI_IMPL_VERSION >> 16, SBI_IMPL_VERSION & 0xffff,
           SBI_VERSION_MAJOR, SBI_VERSION_MINOR);
    printk("  harts       %u", count(platform_harts()));
    printk(", booting on hart %lu\n", this_hart()->id);
    printk("  console     ns16550a at 0x%lx\n", platform.uart);
    printk("  interrupts  clint at 0x%lx\n", platform.clint);
    printk("  timer       %s\n", hart_has_sstc() ? "stimecmp (Sstc)" : "clint, passed on as STIP");
    if (platform.finisher)
        printk("  reset       test finisher at 0x%lx\n", platform.finisher);
    else
        printk("  reset       none\n");
    printk("  firmware    0x%lx-0x%lx, %s\n", firmware_base(), firmware_base() + firmware_size() - 1,
           pmp_active() ? "protected by PMP" : "NOT protected: no PMP");
    printk("  delegated   exceptions 0x%lx, interrupts 0x%lx\n", csr_read(medeleg), csr_read(mideleg));
    if (tree_problem)
        printk("  devicetree  0x%lx is not used: %s\n", tree, tree_problem);
    else
        printk("  devicetree  0x%lx%s%s\n", tree, reserve_problem ? ", firmware not reserved: " : "",
               reserve_problem ? reserve_problem : "");
    printk("  next stage  0x%lx in %s-mode\n\n", next->addr, mode_name(next->mode));
}

static _Noreturn void give_up(const char *why)
{
    printk("Hartwell SBI: %s\n", why);
    platform_stop(STOP_FAIL);
}

/* Called by entry.S on the boot hart, on its stack, with .bss cleared. */
_Noreturn void boot_main(uint64_t hart_id, uint64_t tree_addr, const struct dynamic_info *info)
{
    struct fdt tree;
    const char *tree_problem, *reserve_problem = NULL;

    harts_init();
    for (unsigned i = 0; i < MAX_HARTS; i++)
        hsm_set_state(&harts[i], i == hart_id ? HSM_STARTED : HSM_STOPPED);
    csr_write(mtvec, (unsigned long)trap_vector);

    tree_problem = fdt_open(&tree, tree_addr);
    platform_init(tree_problem ? NULL : &tree);
    pmu_events_init(tree_problem ? NULL : &tree);
    console_init();
    hart_init();

    struct next_stage next = next_stage(info);
    if (!tree_problem) {
        reserve_problem = fdt_reserve(&tree, firmware_base(), firmware_size(), next.addr);
        tree_addr = (uint64_t)tree.base;
    }
    banner(tree_addr, tree_problem, reserve_problem, &next);
    if (next.addr == 0)
        give_up("there is no next stage: the machine was started without a kernel");
    if (firmware_overlaps(next.addr, 2))
        give_up("the next stage is in the firmware's own memory");

    __atomic_store_n(&boot_done, 1, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < MAX_HARTS; i++)
        if (i != hart_id && (platform_harts() >> i & 1))
            ipi_send(&harts[i], IPI_WAKE);
    hart_enter(next.addr, tree_addr, next.mode);
}

/* Called by entry.S on every other hart, after boot_done. */
_Noreturn void boot_secondary(void)
{
    hart_init();
    hsm_park();
}
