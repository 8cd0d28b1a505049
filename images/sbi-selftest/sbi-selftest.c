/* SPDX-License-Identifier: MIT */
/*
 * Every function of the SBI that Hartwell's firmware has, called with right and with wrong arguments, and the answer compared with
 * what the specification (v2.0) says. One line per check. Runs with one hart or more; the checks that need a second
 * one are left out where there is none, with a line that says so.
 */
#include "check.h"
#include "csr.h"
#include "paging.h"
#include "print.h"
#include "sbi.h"
#include "smp.h"
#include "trap.h"

#define NO_MEMORY 0x01000000UL           /* nothing answers there on the virt board */
#define NO_HART 63UL

static unsigned passed, failed;
static volatile unsigned soft_interrupts, timer_interrupts, access_faults, page_faults;
static volatile uint64_t last_stval, last_sepc;
static uint64_t resume_at;              /* where to go on after a fault that a check provokes */

void trap(struct trap_frame *frame, uint64_t scause, uint64_t stval)
{
    switch (scause) {
    case IRQ_SOFT:
        csr_clear(sip, SIP_SSIP);
        soft_interrupts++;
        return;
    case IRQ_TIMER:
        timer_interrupts++;
        sbi_set_timer(~0UL);
        return;
    case EXC_LOAD_ACCESS:
    case EXC_STORE_ACCESS:
        access_faults++;
        break;
    case EXC_LOAD_PAGE:
        page_faults++;
        break;
    default:
        trap_unexpected(frame, scause, stval);
    }
    if (!resume_at)
        trap_unexpected(frame, scause, stval);
    last_stval = stval;
    last_sepc = frame->sepc;
    frame->sepc = resume_at;
    resume_at = 0;
}

void check(const char *what, bool good)
{
    print("%s  %s\n", good ? "PASS" : "FAIL", what);
    if (good)
        passed++;
    else
        failed++;
}

void section(const char *name)
{
    print("-- %s\n", name);
}

bool gives(struct sbiret ret, long error, unsigned long value)
{
    bool good = ret.error == error && ret.value == value;

    if (!good)
        print("      error %ld, value 0x%lx\n", ret.error, ret.value);
    return good;
}

bool fails(struct sbiret ret, long error)
{
    if (ret.error != error)
        print("      error %ld, value 0x%lx\n", ret.error, ret.value);
    return ret.error == error;
}

static uint64_t now(void)
{
    return csr_read(time);
}

/* --- calling convention --- */

/* Fill all registers but a0, a1, a6, a7, sp, gp and tp, make a call, and count those that have changed. */
unsigned long registers_changed(unsigned long eid, unsigned long fid, unsigned long a0, unsigned long a1);
__asm__("    .text\n"
        "registers_changed:\n"
        "    addi sp, sp, -112\n"
        "    sd ra, 0(sp)\n"
        "    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11\n"
        "    sd s\\n, 8 + \\n * 8(sp)\n"
        "    .endr\n"
        "    mv a7, a0\n"
        "    mv a6, a1\n"
        "    mv a0, a2\n"
        "    mv a1, a3\n"
        "    .irp n, 1, 5, 6, 7, 8, 9, 12, 13, 14, 15, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31\n"
        "    li x\\n, 0x5a5a0000 + \\n\n"
        "    .endr\n"
        "    ecall\n"
        "    li a0, 0\n"
        "    .irp n, 1, 5, 6, 7, 8, 9, 12, 13, 14, 15, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31\n"
        "    li a1, 0x5a5a0000 + \\n\n"
        "    sub a1, a1, x\\n\n"
        "    snez a1, a1\n"
        "    add a0, a0, a1\n"
        "    .endr\n"
        "    ld ra, 0(sp)\n"
        "    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11\n"
        "    ld s\\n, 8 + \\n * 8(sp)\n"
        "    .endr\n"
        "    addi sp, sp, 112\n"
        "    ret\n");

static void test_convention(void)
{
    section("calling convention");
    check("a call changes no register but a0 and a1", registers_changed(SBI_BASE, 0, 0, 0) == 0);
    check("nor does one that is not supported", registers_changed(0x12345678, 9, 1, 2) == 0);
    check("nor does one with an effect", registers_changed(SBI_TIME, 0, ~0UL, 0) == 0);
    check("a legacy call leaves a1 as it is", sbi_call(SBI_LEGACY_CLEAR_IPI, 0, 0, 0x1234).value == 0x1234);
    check("an unknown extension is not supported", fails(sbi_call(0x12345678, 0), SBI_ERR_NOT_SUPPORTED));
    check("an unassigned legacy extension is not supported", fails(sbi_call(9, 0), SBI_ERR_NOT_SUPPORTED));
}

static void test_base(void)
{
    static const struct {
        unsigned long id;
        const char *what;
    } extensions[] = {
        { SBI_BASE, "probe finds BASE" }, { SBI_TIME, "probe finds TIME" },     { SBI_IPI, "probe finds IPI" },
        { SBI_HSM, "probe finds HSM" },   { SBI_RFENCE, "probe finds RFENCE" }, { SBI_SRST, "probe finds SRST" },
        { SBI_DBCN, "probe finds DBCN" }, { SBI_PMU, "probe finds PMU" },       { 0, "probe finds legacy set_timer" },
        { 8, "probe finds legacy shutdown" },
    };

    section("BASE");
    check("get_spec_version is 2.0", gives(sbi_call(SBI_BASE, 0), SBI_SUCCESS, 2 << 24));
    check("get_impl_id is Hartwell's", gives(sbi_call(SBI_BASE, 1), SBI_SUCCESS, 0x4857));
    check("get_impl_version is 1.0", gives(sbi_call(SBI_BASE, 2), SBI_SUCCESS, 0x10000));
    for (unsigned i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++)
        check(extensions[i].what, gives(sbi_call(SBI_BASE, 3, extensions[i].id), SBI_SUCCESS, 1));
    check("probe does not find what is not there", gives(sbi_call(SBI_BASE, 3, 0x12345678), SBI_SUCCESS, 0));
    check("get_mvendorid answers", fails(sbi_call(SBI_BASE, 4), SBI_SUCCESS));
    check("get_marchid answers", fails(sbi_call(SBI_BASE, 5), SBI_SUCCESS));
    check("get_mimpid answers", fails(sbi_call(SBI_BASE, 6), SBI_SUCCESS));
    check("function 7 is not supported", fails(sbi_call(SBI_BASE, 7), SBI_ERR_NOT_SUPPORTED));
}

static void test_time(void)
{
    section("TIME");
    csr_set(sie, SIP_STIP);
    timer_interrupts = 0;
    uint64_t deadline = now() + 5000;
    check("set_timer succeeds", gives(sbi_set_timer(deadline), SBI_SUCCESS, 0));
    wait_until(timer_interrupts == 1);
    check("the interrupt comes, and not too early", now() >= deadline);
    csr_clear(sie, SIP_STIP);
    sbi_set_timer(0);
    while (!(csr_read(sip) & SIP_STIP))
        ;
    check("a time in the past makes it pending at once", true);
    sbi_set_timer(~0UL);
    check("setting a later one takes it back", !(csr_read(sip) & SIP_STIP));
    check("function 1 is not supported", fails(sbi_call(SBI_TIME, 1), SBI_ERR_NOT_SUPPORTED));
}

static void test_ipi(unsigned long me)
{
    section("IPI");
    csr_set(sie, SIP_SSIP);
    soft_interrupts = 0;
    check("send_ipi to oneself", gives(sbi_send_ipi(1, me), SBI_SUCCESS, 0));
    wait_until(soft_interrupts == 1);
    check("send_ipi to all, with base -1", gives(sbi_send_ipi(0, ~0UL), SBI_SUCCESS, 0));
    wait_until(soft_interrupts == 2);
    check("both have come", soft_interrupts == 2);
    check("an empty mask is good for nothing, but valid", gives(sbi_send_ipi(0, 0), SBI_SUCCESS, 0));
    check("a hart that does not exist is invalid", fails(sbi_send_ipi(1, NO_HART), SBI_ERR_INVALID_PARAM));
    check("also among others", fails(sbi_send_ipi(1UL << NO_HART | 1, 0), SBI_ERR_INVALID_PARAM));
    check("a base far out is invalid", fails(sbi_send_ipi(1, 1UL << 40), SBI_ERR_INVALID_PARAM));
    check("the invalid ones have sent nothing", soft_interrupts == 2);
    check("function 1 is not supported", fails(sbi_call(SBI_IPI, 1), SBI_ERR_NOT_SUPPORTED));
    csr_clear(sie, SIP_SSIP);
}

static void test_rfence(unsigned long me)
{
    section("RFENCE");
    check("remote_fence_i, oneself", gives(sbi_call(SBI_RFENCE, 0, 1, me), SBI_SUCCESS, 0));
    check("remote_fence_i, all", gives(sbi_call(SBI_RFENCE, 0, 0, ~0UL), SBI_SUCCESS, 0));
    check("remote_sfence_vma, a page", gives(sbi_call(SBI_RFENCE, 1, 0, ~0UL, 0x1000, 0x1000), SBI_SUCCESS, 0));
    check("remote_sfence_vma, everything as 0, 0", gives(sbi_call(SBI_RFENCE, 1, 0, ~0UL, 0, 0), SBI_SUCCESS, 0));
    check("remote_sfence_vma, everything as size -1", gives(sbi_call(SBI_RFENCE, 1, 0, ~0UL, 0, ~0UL), SBI_SUCCESS, 0));
    check("remote_sfence_vma, the last page there is",
          gives(sbi_call(SBI_RFENCE, 1, 0, ~0UL, -0x1000UL, 0x1000), SBI_SUCCESS, 0));
    check("remote_sfence_vma, a gigabyte", gives(sbi_call(SBI_RFENCE, 1, 1, me, 0, 1 << 30), SBI_SUCCESS, 0));
    check("remote_sfence_vma_asid, a page", gives(sbi_call(SBI_RFENCE, 2, 0, ~0UL, 0x1000, 0x1000, 1), SBI_SUCCESS, 0));
    check("remote_sfence_vma_asid, everything", gives(sbi_call(SBI_RFENCE, 2, 0, ~0UL, 0, 0, 1), SBI_SUCCESS, 0));
    check("a range beyond the last address is invalid",
          fails(sbi_call(SBI_RFENCE, 1, 0, ~0UL, -0x1000UL, 0x2000), SBI_ERR_INVALID_ADDRESS));
    check("a hart that does not exist is invalid",
          fails(sbi_call(SBI_RFENCE, 1, 1, NO_HART, 0, 0), SBI_ERR_INVALID_PARAM));
    bool none = true;
    for (unsigned fid = 3; fid <= 7; fid++)
        none &= fails(sbi_call(SBI_RFENCE, fid, 0, ~0UL, 0, 0, 0), SBI_ERR_NOT_SUPPORTED);
    check("the hypervisor's, and function 7, are not supported", none);
}

/* --- HSM --- */

static volatile struct {
    bool ran, satp_off, sie_off;
    unsigned long hart;
} second;

static void second_hart(unsigned long hart)
{
    second.satp_off = csr_read(satp) == 0;
    second.sie_off = !(csr_read(sstatus) & SSTATUS_SIE);
    second.hart = hart;
    second.ran = true;
    __asm__ volatile("fence" : : : "memory");
    sbi_hart_stop();
}

/* Sleeps until the first hart interrupts it. */
static void sleeping_hart(unsigned long hart)
{
    (void)hart;
    csr_write(sie, SIP_SSIP);
    sbi_call(SBI_HSM, 3, 0);
    csr_clear(sip, SIP_SSIP);
    second.ran = true;
    sbi_hart_stop();
}

bool reaches(unsigned long hart, unsigned long status)
{
    struct sbiret ret;

    do
        ret = sbi_hart_status(hart);
    while (ret.error == SBI_SUCCESS && ret.value != status);
    return ret.error == SBI_SUCCESS;
}

/* Non-retentive suspend: the hart comes back at an address, with nothing but its hart id and an argument. */
long suspend_and_resume(unsigned long type);
unsigned long resumed_hart, resumed_satp, resumed_sie;
__asm__("    .text\n"
        "suspend_and_resume:\n"
        "    addi sp, sp, -128\n"
        "    sd ra, 0(sp)\n"
        "    sd gp, 8(sp)\n"
        "    sd tp, 16(sp)\n"
        "    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11\n"
        "    sd s\\n, 24 + \\n * 8(sp)\n"
        "    .endr\n"
        "    la a1, 1f\n"
        "    mv a2, sp\n"
        "    li a6, 3\n"
        "    li a7, 0x48534d\n"
        "    ecall\n"
        "    j 2f\n"                    /* it has failed: a0 is why */
        "1:  mv sp, a1\n"
        "    la t0, resumed_hart\n"
        "    sd a0, (t0)\n"
        "    csrr t1, satp\n"
        "    la t0, resumed_satp\n"
        "    sd t1, (t0)\n"
        "    csrr t1, sstatus\n"
        "    andi t1, t1, 2\n"
        "    la t0, resumed_sie\n"
        "    sd t1, (t0)\n"
        "    li a0, 1\n"
        "2:  ld ra, 0(sp)\n"
        "    ld gp, 8(sp)\n"
        "    ld tp, 16(sp)\n"
        "    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11\n"
        "    ld s\\n, 24 + \\n * 8(sp)\n"
        "    .endr\n"
        "    addi sp, sp, 128\n"
        "    ret\n");

static void test_hsm(unsigned long me)
{
    section("HSM");
    check("hart_get_status, oneself: started", gives(sbi_hart_status(me), SBI_SUCCESS, STARTED));
    check("hart_get_status, nobody", fails(sbi_hart_status(NO_HART), SBI_ERR_INVALID_PARAM));
    check("hart_get_status, a number far out", fails(sbi_hart_status(1UL << 40), SBI_ERR_INVALID_PARAM));
    check("hart_start, oneself", fails(start_hart(me, second_hart), SBI_ERR_ALREADY_AVAILABLE));
    check("hart_start, nobody", fails(start_hart(NO_HART, second_hart), SBI_ERR_INVALID_PARAM));

    check("hart_suspend, reserved type", fails(sbi_call(SBI_HSM, 3, 1), SBI_ERR_INVALID_PARAM));
    check("hart_suspend, reserved non-retentive type", fails(sbi_call(SBI_HSM, 3, 0x80000001), SBI_ERR_INVALID_PARAM));
    check("hart_suspend, a platform's type", fails(sbi_call(SBI_HSM, 3, 0x10000000), SBI_ERR_NOT_SUPPORTED));
    check("hart_suspend, non-retentive, back into the firmware",
          fails(sbi_call(SBI_HSM, 3, 0x80000000, FIRMWARE, 0), SBI_ERR_INVALID_ADDRESS));

    csr_clear(sstatus, SSTATUS_SIE);
    csr_write(sie, SIP_STIP);
    sbi_set_timer(now() + 3000);
    check("hart_suspend, retentive, until a timer interrupt", gives(sbi_call(SBI_HSM, 3, 0), SBI_SUCCESS, 0));
    check("it is pending then", csr_read(sip) & SIP_STIP);
    sbi_set_timer(now() + 3000);
    check("hart_suspend, non-retentive, comes back elsewhere", suspend_and_resume(0x80000000) == 1);
    check("with its hart id, satp off, SIE off", resumed_hart == me && resumed_satp == 0 && resumed_sie == 0);
    csr_write(sie, 0);
    sbi_set_timer(~0UL);
    csr_set(sstatus, SSTATUS_SIE);
    check("function 4 is not supported", fails(sbi_call(SBI_HSM, 4), SBI_ERR_NOT_SUPPORTED));
}

/* A hart that translates with the same table as the first, reads a word and runs a function whenever it is asked to. */
#define SHARED_VA 0x1000000000
#define TURNS 100

static volatile unsigned asked, answered;
static volatile uint64_t shared_satp, seen_data, seen_code;
static uint32_t shared_code[2];         /* li a0, n; ret */

static void reading_hart(unsigned long hart)
{
    (void)hart;
    csr_write(satp, shared_satp);
    fence_vma();
    for (unsigned turn = 1; turn <= TURNS; turn++) {
        while (__atomic_load_n(&asked, __ATOMIC_ACQUIRE) < turn)
            ;
        seen_data = *(volatile uint64_t *)SHARED_VA;
        seen_code = ((uint64_t(*)(void))shared_code)();
        __atomic_store_n(&answered, turn, __ATOMIC_RELEASE);
    }
    csr_write(satp, 0);
    fence_vma();
    sbi_hart_stop();
}

static void fence_all_the_time(unsigned times, bool *good)
{
    for (unsigned i = 0; i < times; i++)
        *good &= sbi_call(SBI_RFENCE, i % 3, 0, ~0UL, 0x1000, 0x1000, 0).error == SBI_SUCCESS;
}

static bool other_good;

static void fencing_hart(unsigned long hart)
{
    (void)hart;
    other_good = true;
    __atomic_store_n(&answered, 1, __ATOMIC_RELEASE);
    fence_all_the_time(200, &other_good);
    sbi_hart_stop();
}

static void test_remote_fences(unsigned long other)
{
    bool data = true, code = true, good = true;

    paging_init(3);
    shared_satp = csr_read(satp);
    uint64_t page[2] = { page_alloc(), page_alloc() };
    start_hart(other, reading_hart);
    for (unsigned turn = 1; turn <= TURNS; turn++) {
        *(volatile uint64_t *)page[turn % 2] = turn;
        *pte_at(SHARED_VA, 0) = page[turn % 2] >> 12 << 10 | PTE_V | PTE_R | PTE_A;
        sbi_call(SBI_RFENCE, 1, 1, other, SHARED_VA, PAGE_SIZE);
        shared_code[0] = turn << 20 | 0x513;
        shared_code[1] = 0x8067;
        sbi_call(SBI_RFENCE, 0, 1, other);
        __atomic_store_n(&asked, turn, __ATOMIC_RELEASE);
        while (__atomic_load_n(&answered, __ATOMIC_ACQUIRE) < turn)
            ;
        data &= seen_data == turn;
        code &= seen_code == turn;
    }
    reaches(other, STOPPED);
    csr_write(satp, 0);
    fence_vma();
    check("remote_sfence_vma makes a changed mapping seen, 100 times", data);
    check("remote_fence_i makes changed code seen, 100 times", code);

    answered = 0;
    start_hart(other, fencing_hart);
    while (!__atomic_load_n(&answered, __ATOMIC_ACQUIRE))
        ;
    fence_all_the_time(200, &good);
    reaches(other, STOPPED);
    check("two harts that fence each other both get on", good && other_good);
}

static void test_second_hart(unsigned long me)
{
    unsigned long other = me == 0 ? 1 : 0;

    section("a second hart");
    if (sbi_hart_status(other).error != SBI_SUCCESS) {
        print("      left out: there is none\n");
        return;
    }
    check("it is stopped", gives(sbi_hart_status(other), SBI_SUCCESS, STOPPED));
    check("hart_start at an odd address", fails(sbi_hart_start(other, 0x80200001, 0), SBI_ERR_INVALID_ADDRESS));
    check("hart_start in the firmware", fails(sbi_hart_start(other, FIRMWARE, 0), SBI_ERR_INVALID_ADDRESS));
    check("hart_start beyond physical memory", fails(sbi_hart_start(other, -0x1000UL, 0), SBI_ERR_INVALID_ADDRESS));
    check("it is still stopped", gives(sbi_hart_status(other), SBI_SUCCESS, STOPPED));

    check("hart_start", gives(start_hart(other, second_hart), SBI_SUCCESS, 0));
    check("it stops by itself", reaches(other, STOPPED) && second.ran);
    check("it began with its hart id, satp off and SIE off",
          second.hart == other && second.satp_off && second.sie_off);

    second.ran = false;
    check("hart_start again", gives(start_hart(other, sleeping_hart), SBI_SUCCESS, 0));
    check("it suspends itself", reaches(other, SUSPENDED));
    check("a fence reaches it there", gives(sbi_call(SBI_RFENCE, 1, 1, other, 0, 0), SBI_SUCCESS, 0));
    check("and does not wake it", gives(sbi_hart_status(other), SBI_SUCCESS, SUSPENDED) && !second.ran);
    check("an IPI is sent", gives(sbi_send_ipi(1, other), SBI_SUCCESS, 0));
    check("it wakes and stops", reaches(other, STOPPED) && second.ran);
    check("a fence for a stopped hart is done at once", gives(sbi_call(SBI_RFENCE, 0, 1, other), SBI_SUCCESS, 0));
    check("an IPI for one is lost", gives(sbi_send_ipi(1, other), SBI_SUCCESS, 0));
    test_remote_fences(other);
    test_pmu_with(other);
}

/* --- DBCN --- */

static char text[] = "      this line is DBCN's\r\n";

static void test_dbcn(void)
{
    unsigned long size = sizeof(text) - 1;
    char byte = 'x';

    section("DBCN");
    check("console_write tells how many bytes", gives(sbi_call(SBI_DBCN, 0, size, text, 0), SBI_SUCCESS, size));
    check("console_write of nothing", gives(sbi_call(SBI_DBCN, 0, 0, text, 0), SBI_SUCCESS, 0));
    check("console_write above 2^64", fails(sbi_call(SBI_DBCN, 0, size, text, 1), SBI_ERR_INVALID_PARAM));
    check("console_write across 2^64", fails(sbi_call(SBI_DBCN, 0, 32, -16UL, 0), SBI_ERR_INVALID_PARAM));
    check("console_write of the firmware", fails(sbi_call(SBI_DBCN, 0, 16, FIRMWARE, 0), SBI_ERR_INVALID_PARAM));
    check("console_write that runs into it", fails(sbi_call(SBI_DBCN, 0, 16, FIRMWARE - 8, 0), SBI_ERR_INVALID_PARAM));
    check("console_write of what is not memory", fails(sbi_call(SBI_DBCN, 0, 16, NO_MEMORY, 0), SBI_ERR_INVALID_PARAM));
    check("console_read, nothing typed", gives(sbi_call(SBI_DBCN, 1, 1, &byte, 0), SBI_SUCCESS, 0));
    check("it has stored nothing", byte == 'x');
    check("console_read into the firmware", fails(sbi_call(SBI_DBCN, 1, 16, FIRMWARE, 0), SBI_ERR_INVALID_PARAM));
    struct sbiret last = { 0, 0 };
    for (const char *c = "      so is this\r\n"; *c; c++)
        last = sbi_call(SBI_DBCN, 2, *c);
    check("console_write_byte", gives(last, SBI_SUCCESS, 0));
    check("function 3 is not supported", fails(sbi_call(SBI_DBCN, 3), SBI_ERR_NOT_SUPPORTED));
}

/* --- legacy --- */

/* A legacy call with a mask at `address`, which may fault at its ecall. */
long legacy_mask_call(unsigned long eid, unsigned long address, uint64_t *resume);
extern char legacy_ecall[];
__asm__("    .text\n"
        "legacy_mask_call:\n"
        "    mv a7, a0\n"
        "    mv a0, a1\n"
        "    la t0, 1f\n"
        "    sd t0, (a2)\n"
        "    li a1, 0\n"
        "    li a2, 0\n"
        "    li a3, 0\n"
        "    .globl legacy_ecall\n"
        "legacy_ecall:\n"
        "    ecall\n"
        "    ret\n"
        "1:  li a0, -100\n"
        "    ret\n");

static void test_legacy(unsigned long me)
{
    static unsigned long mask;
    bool good = true;

    section("legacy");
    mask = 1UL << me;
    for (const char *c = "      this line is console_putchar's\r\n"; *c; c++)
        good &= sbi_call(SBI_LEGACY_PUTCHAR, 0, *c).error == 0;
    check("console_putchar", good);
    check("console_getchar, nothing typed", sbi_call(SBI_LEGACY_GETCHAR, 0).error == -1);

    check("send_ipi to oneself", legacy_mask_call(SBI_LEGACY_SEND_IPI, (unsigned long)&mask, &resume_at) == 0);
    check("it is pending", csr_read(sip) & SIP_SSIP);
    check("clear_ipi says that one was pending", sbi_call(SBI_LEGACY_CLEAR_IPI, 0).error > 0);
    check("and a second time that none was", sbi_call(SBI_LEGACY_CLEAR_IPI, 0).error == 0);
    check("remote_fence_i", legacy_mask_call(SBI_LEGACY_FENCE_I, (unsigned long)&mask, &resume_at) == 0);
    check("remote_sfence_vma", legacy_mask_call(SBI_LEGACY_SFENCE_VMA, (unsigned long)&mask, &resume_at) == 0);
    check("remote_sfence_vma_asid", legacy_mask_call(SBI_LEGACY_SFENCE_VMA_ASID, (unsigned long)&mask, &resume_at) == 0);
    check("a null mask is all harts", legacy_mask_call(SBI_LEGACY_FENCE_I, 0, &resume_at) == 0);

    access_faults = 0;
    long result = legacy_mask_call(SBI_LEGACY_SEND_IPI, NO_MEMORY, &resume_at);
    check("a mask that is not memory is an access fault", result == -100 && access_faults == 1);
    check("with the address, at the ecall", last_stval == NO_MEMORY && last_sepc == (uint64_t)legacy_ecall);
    result = legacy_mask_call(SBI_LEGACY_SEND_IPI, FIRMWARE, &resume_at);
    check("so is one in the firmware", result == -100 && access_faults == 2 && last_stval == FIRMWARE);
    if (paging_init(3)) {
        uint64_t va = 0x1000000000;
        map(va, (uint64_t)&mask & ~(PAGE_SIZE - 1), 0, PTE_V | PTE_R | PTE_A);
        unsigned long alias = va + ((unsigned long)&mask & (PAGE_SIZE - 1));
        check("a mask by virtual address", legacy_mask_call(SBI_LEGACY_SEND_IPI, alias, &resume_at) == 0);
        check("it was read", sbi_call(SBI_LEGACY_CLEAR_IPI, 0).error > 0);
        page_faults = 0;
        result = legacy_mask_call(SBI_LEGACY_SEND_IPI, va + PAGE_SIZE, &resume_at);
        check("a mask that is not mapped is a page fault",
              result == -100 && page_faults == 1 && last_stval == va + PAGE_SIZE);
        csr_write(satp, 0);
        fence_vma();
    }
    resume_at = 0;

    csr_write(sie, SIP_STIP);
    timer_interrupts = 0;
    check("set_timer", sbi_call(SBI_LEGACY_SET_TIMER, 0, now() + 1000).error == 0);
    wait_until(timer_interrupts == 1);
    csr_write(sie, 0);
}

/* --- what surrounds the calls --- */

bool load_faults(unsigned long address)
{
    unsigned before = access_faults;
    uint64_t at;

    __asm__ volatile("la %0, 1f\n"
                     "sd %0, %1\n"
                     "lb %0, (%2)\n"
                     "1:"
                     : "=&r"(at), "=m"(resume_at)
                     : "r"(address)
                     : "memory");
    resume_at = 0;
    return access_faults == before + 1 && last_stval == address;
}

static void test_environment(void)
{
    section("environment");
    check("S-mode can read time", now() <= now());
    check("S-mode can read cycle", csr_read(cycle) != csr_read(cycle));
    check("S-mode can read instret", csr_read(instret) != csr_read(instret));
    check("the firmware's memory is out of reach", load_faults(FIRMWARE) && load_faults(FIRMWARE + 0x8000));
    check("the memory after it is not", !load_faults(0x80100000));
}

static void test_srst(void)
{
    section("SRST");
    check("reserved type", fails(sbi_call(SBI_SRST, 0, 3, 0), SBI_ERR_INVALID_PARAM));
    check("reserved reason", fails(sbi_call(SBI_SRST, 0, 0, 2), SBI_ERR_INVALID_PARAM));
    check("a vendor's type", fails(sbi_call(SBI_SRST, 0, 0xf0000000, 0), SBI_ERR_INVALID_PARAM));
    check("a vendor's reason", fails(sbi_call(SBI_SRST, 0, 0, 0xf0000000), SBI_ERR_INVALID_PARAM));
    check("function 1 is not supported", fails(sbi_call(SBI_SRST, 1), SBI_ERR_NOT_SUPPORTED));
}

int main(unsigned long me)
{
    trap_install();
    csr_write(sie, 0);
    csr_set(sstatus, SSTATUS_SIE);
    test_convention();
    test_base();
    test_time();
    test_ipi(me);
    test_rfence(me);
    test_hsm(me);
    test_pmu();
    test_second_hart(me);
    test_dbcn();
    test_legacy(me);
    test_environment();
    test_srst();
    print("%u passed, %u failed. What is left is SRST's shutdown.\n", passed, failed);
    return failed != 0;
}
