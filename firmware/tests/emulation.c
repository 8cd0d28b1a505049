/* SPDX-License-Identifier: MIT */
/*
 * The emulation of misaligned accesses and of the counters, and the redirection of traps, on harts that would never trap them:
 * the handlers are called with frames made up here. The last part runs in S-mode with the counters switched off, and so
 * comes through the trap vector for real.
 */
#include "check.h"
#include "csr.h"
#include "float.h"
#include "hart.h"
#include "memory.h"
#include "trap.h"
#include "unpriv.h"

enum { STORE = 1, SIGNED = 2, FLOAT = 4, SHORT = 8 };

extern const struct instruction {
    const char *name;
    const void *code;
    uint32_t reg, size, flags, unused;
} instructions[];                       /* instructions.S */

#define STVEC 0x80123450UL
#define NO_MEMORY 0x01000000UL          /* nothing answers there on the virt board */
#define PAGE 4096

static uint8_t buffer[32];
static struct trap_frame frame;

static void fill_buffer(void)
{
    for (unsigned i = 0; i < sizeof(buffer); i++)
        buffer[i] = (uint8_t)(0x81 + 7 * i);
}

static uint64_t little_endian(const uint8_t *p, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)p[i] << (8 * i);
    return value;
}

/* A trap from `mode` at `code`; registers hold numbers of their own. */
static void make_frame(unsigned long mode, uint64_t cause, const void *code, uint64_t tval)
{
    for (unsigned i = 1; i < 32; i++)
        frame.x[i] = 0x0123456789abcd00ul + i;
    frame.x[0] = 0;
    frame.mepc = (uint64_t)code;
    frame.mstatus = (csr_read(mstatus) & ~(MSTATUS_MPP | MSTATUS_FS | MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP)) |
                    mode << MSTATUS_MPP_SHIFT | MSTATUS_FS_INITIAL;
    frame.mcause = cause;
    frame.mtval = tval;
}

/* Whether the frame now continues in the supervisor's handler, with these values in its CSRs. */
static bool redirected(const void *code, uint64_t cause, uint64_t tval)
{
    bool good = frame.mepc == STVEC && csr_read(sepc) == (uint64_t)code && csr_read(scause) == cause &&
                csr_read(stval) == tval && (frame.mstatus & MSTATUS_MPP) >> MSTATUS_MPP_SHIFT == PRV_S;
    if (!good)
        printk("      mepc %lx, sepc %lx, scause %lx, stval %lx\n", frame.mepc, csr_read(sepc), csr_read(scause),
               csr_read(stval));
    return good;
}

static bool loads(const struct instruction *insn, unsigned offset)
{
    uint64_t wanted = little_endian(buffer + offset, insn->size);

    make_frame(PRV_M, EXC_LOAD_MISALIGNED, insn->code, (uint64_t)(buffer + offset));
    if (insn->flags & FLOAT)
        float_write(insn->reg, 0x5555);
    misaligned_handle(&frame);
    if (insn->size == 4 && insn->flags & FLOAT)
        wanted |= 0xffffffff00000000;
    if (insn->size == 4 && insn->flags & SIGNED)
        wanted = (uint64_t)(int32_t)wanted;
    if (insn->size == 2 && insn->flags & SIGNED)
        wanted = (uint64_t)(int16_t)wanted;

    bool others_kept = frame.x[0] == 0;
    for (unsigned i = 1; i < 32; i++)
        others_kept &= frame.x[i] == 0x0123456789abcd00ul + i || (i == insn->reg && !(insn->flags & FLOAT));
    if (insn->flags & FLOAT)
        return others_kept && float_read(insn->reg) == wanted && (frame.mstatus & MSTATUS_FS) == MSTATUS_FS;
    return others_kept && frame.x[insn->reg] == (insn->reg ? wanted : 0) &&
           (frame.mstatus & MSTATUS_FS) == MSTATUS_FS_INITIAL;
}

static bool stores(const struct instruction *insn, unsigned offset)
{
    uint64_t value = insn->reg ? 0xfedcba9876543210 : 0;
    uint8_t wanted[sizeof(buffer)];

    fill_buffer();
    memcpy(wanted, buffer, sizeof(buffer));
    for (unsigned i = 0; i < insn->size; i++)
        wanted[offset + i] = (uint8_t)(value >> (8 * i));

    make_frame(PRV_M, EXC_STORE_MISALIGNED, insn->code, (uint64_t)(buffer + offset));
    if (insn->flags & FLOAT)
        float_write(insn->reg, value);
    else
        frame_write(&frame, insn->reg, value);
    misaligned_handle(&frame);
    return memcmp(buffer, wanted, sizeof(buffer)) == 0;
}

static void test_every_instruction(void)
{
    for (const struct instruction *insn = instructions; insn->size; insn++) {
        bool good = true;
        for (unsigned offset = 1; offset < 16; offset++) {
            fill_buffer();
            good &= insn->flags & STORE ? stores(insn, offset) : loads(insn, offset);
            good &= frame.mepc == (uint64_t)insn->code + (insn->flags & SHORT ? 2 : 4);
        }
        check(good, insn->name);
    }
}

static const struct instruction *find(unsigned size, unsigned flags)
{
    const struct instruction *insn = instructions;

    while (insn->size != size || insn->flags != flags)
        insn++;
    return insn;
}

/* amoadd.w a0, a1, (a2) and lr.w a0, (a2) */
static const uint32_t amoadd = 0x00b6252f, load_reserved = 0x1006252f;

static void test_not_emulated(void)
{
    const void *load = find(8, SIGNED)->code;

    make_frame(PRV_S, EXC_STORE_MISALIGNED, &amoadd, 0x80001001);
    misaligned_handle(&frame);
    check(redirected(&amoadd, EXC_STORE_MISALIGNED, 0x80001001), "a misaligned amoadd.w is the supervisor's");
    make_frame(PRV_S, EXC_LOAD_MISALIGNED, &load_reserved, 0x80001002);
    misaligned_handle(&frame);
    check(redirected(&load_reserved, EXC_LOAD_MISALIGNED, 0x80001002), "a misaligned lr.w is the supervisor's");
    make_frame(PRV_M, EXC_LOAD_MISALIGNED, load, NO_MEMORY + 1);
    misaligned_handle(&frame);
    check(redirected(load, EXC_LOAD_ACCESS, NO_MEMORY + 1), "a load from no memory becomes an access fault");
    make_frame(PRV_M, EXC_STORE_MISALIGNED, find(8, STORE)->code, NO_MEMORY + 1);
    misaligned_handle(&frame);
    check(redirected(find(8, STORE)->code, EXC_STORE_ACCESS, NO_MEMORY + 1), "a store to no memory becomes one");
    make_frame(PRV_M, EXC_LOAD_MISALIGNED, (const void *)NO_MEMORY, 0x80001001);
    misaligned_handle(&frame);
    check(redirected((const void *)NO_MEMORY, EXC_FETCH_ACCESS, NO_MEMORY), "an instruction that is not there, one of fetch");
}

/* Sv39: the image's gigabyte to itself, and from VA on pages with the permissions of `leaves`. */
#define VA 0x40000000UL
enum { V = 1, R = 2, W = 4, X = 8, U = 16, A = 64, D = 128 };
static uint64_t root[512] __attribute__((aligned(PAGE))), middle[512] __attribute__((aligned(PAGE))),
    leaves[512] __attribute__((aligned(PAGE)));
static uint8_t pages[2][PAGE] __attribute__((aligned(PAGE)));

static void map(unsigned index, const void *page, unsigned flags)
{
    leaves[index] = (uint64_t)page >> 12 << 10 | flags;
    __asm__ volatile("sfence.vma" : : : "memory");
}

static void test_translated(void)
{
    const struct instruction *ld = find(8, SIGNED), *sd = find(8, STORE);
    uint64_t crossing = VA + PAGE - 3;

    root[2] = 0x80000000UL >> 12 << 10 | V | R | W | X | A | D;
    root[1] = (uint64_t)middle >> 12 << 10 | V;
    middle[0] = (uint64_t)leaves >> 12 << 10 | V;
    csr_write(satp, 8UL << 60 | (uint64_t)root >> 12);
    memset(pages, 0x11, sizeof(pages));

    map(0, pages[0], V | R | W | A | D);
    map(1, pages[1], V | R | W | A | D);
    make_frame(PRV_S, EXC_STORE_MISALIGNED, sd->code, crossing);
    misaligned_handle(&frame);
    check(frame.mepc == (uint64_t)sd->code + 4 && little_endian(pages[0] + PAGE - 3, 3) == (frame.x[13] & 0xffffff) &&
              little_endian(pages[1], 5) == frame.x[13] >> 24,
          "a store across two pages, through the supervisor's table");
    make_frame(PRV_S, EXC_LOAD_MISALIGNED, ld[1].code, crossing);       /* the next one: ld t6 */
    misaligned_handle(&frame);
    check(frame.x[31] == 0x0123456789abcd0d, "a load of it");

    map(1, pages[1], 0);
    make_frame(PRV_S, EXC_LOAD_MISALIGNED, ld->code, crossing);
    misaligned_handle(&frame);
    check(redirected(ld->code, EXC_LOAD_PAGE, VA + PAGE), "a load into an unmapped page: page fault, at its first byte");
    map(1, pages[1], V | R | A);
    make_frame(PRV_S, EXC_STORE_MISALIGNED, sd->code, crossing);
    misaligned_handle(&frame);
    check(redirected(sd->code, EXC_STORE_PAGE, VA + PAGE), "a store into a read-only page: page fault");

    make_frame(PRV_U, EXC_LOAD_MISALIGNED, ld->code, VA + 1);
    misaligned_handle(&frame);
    check(redirected(ld->code, EXC_FETCH_PAGE, (uint64_t)ld->code), "U cannot execute the supervisor's pages");
    check(!(frame.mstatus & MSTATUS_SPP), "and SPP says that it was U");

    map(0, pages[0], V | R | U | A);
    make_frame(PRV_S, EXC_LOAD_MISALIGNED, ld->code, VA + 1);
    misaligned_handle(&frame);
    check(redirected(ld->code, EXC_LOAD_PAGE, VA + 1), "S cannot read a user's page");
    make_frame(PRV_S, EXC_LOAD_MISALIGNED, ld->code, VA + 1);
    frame.mstatus |= MSTATUS_SUM;
    misaligned_handle(&frame);
    check(frame.mepc == (uint64_t)ld->code + 4 && frame.x[13] == 0x1111111111111111, "with SUM it can");

    memcpy(pages[1] + PAGE - 4, ld->code, 4);
    map(0, pages[0], V | R | A);
    map(1, pages[1], V | X | A);
    const void *code = (const void *)(VA + 2 * PAGE - 4);
    make_frame(PRV_S, EXC_LOAD_MISALIGNED, code, VA + 1);
    misaligned_handle(&frame);
    check(frame.mepc == (uint64_t)code + 4 && frame.x[13] == 0x1111111111111111, "code in an execute-only page");
    memcpy(pages[1] + PAGE - 2, ld->code, 2);
    code = (const void *)(VA + 2 * PAGE - 2);
    make_frame(PRV_S, EXC_LOAD_MISALIGNED, code, VA + 1);
    misaligned_handle(&frame);
    check(redirected(code, EXC_FETCH_PAGE, VA + 2 * PAGE), "code that goes on in an unmapped page: fetch page fault");
    memcpy(pages[1] + PAGE - 2, find(8, SHORT | SIGNED)->code, 2);
    make_frame(PRV_S, EXC_LOAD_MISALIGNED, code, VA + 1);
    misaligned_handle(&frame);
    check(frame.mepc == (uint64_t)code + 2, "a compressed one there does not look beyond its end");
    csr_write(satp, 0);
    __asm__ volatile("sfence.vma" : : : "memory");
}

static void test_redirection(void)
{
    bool good = true;

    for (unsigned i = 0; i < 16; i++) {
        bool from_s = i & 1, sie = i & 2, spie = i & 4, spp = i & 8;
        make_frame(from_s ? PRV_S : PRV_U, EXC_FETCH_ACCESS, (const void *)0x1234, 0x5678);
        frame.mstatus |= (sie ? MSTATUS_SIE : 0) | (spie ? MSTATUS_SPIE : 0) | (spp ? MSTATUS_SPP : 0);
        uint64_t before = frame.mstatus;
        uint64_t changed = MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE | MSTATUS_MPP;
        trap_redirect(&frame, (struct trap_info){ EXC_FETCH_ACCESS, 0x5678 });
        good &= redirected((const void *)0x1234, EXC_FETCH_ACCESS, 0x5678);
        good &= !!(frame.mstatus & MSTATUS_SPP) == from_s && !!(frame.mstatus & MSTATUS_SPIE) == sie;
        good &= !(frame.mstatus & MSTATUS_SIE) && (frame.mstatus & ~changed) == (before & ~changed);
    }
    check(good, "a redirected trap stacks SPP and SPIE, and clears SIE");
    csr_write(stvec, STVEC | 1);
    make_frame(PRV_S, EXC_FETCH_ACCESS, (const void *)0x1234, 0);
    trap_redirect(&frame, (struct trap_info){ EXC_FETCH_ACCESS, 0 });
    check(frame.mepc == STVEC, "an exception goes to the base of a vectored stvec");
    csr_write(stvec, STVEC);
}

/* csrrX rd = a3, csr, source */
static uint32_t csr_instruction(unsigned operation, unsigned csr, unsigned source)
{
    return csr << 20 | source << 15 | operation << 12 | 13 << 7 | 0x73;
}

static uint32_t code_word;

static void present(unsigned long mode, uint32_t insn, bool tval_has_it)
{
    code_word = insn;
    make_frame(mode, EXC_ILLEGAL, &code_word, tval_has_it ? insn : 0);
    illegal_handle(&frame);
}

static bool emulates(unsigned long mode, uint32_t insn, bool tval_has_it)
{
    present(mode, insn, tval_has_it);
    return frame.mepc == (uint64_t)&code_word + 4;
}

static bool refuses(unsigned long mode, uint32_t insn, bool tval_has_it)
{
    present(mode, insn, tval_has_it);
    return redirected(&code_word, EXC_ILLEGAL, tval_has_it ? insn : 0);
}

static void test_counters(void)
{
    uint64_t before = platform_time();
    bool good = emulates(PRV_S, csr_instruction(2, CSR_TIME, 0), true);
    check(good && frame.x[13] >= before && frame.x[13] <= platform_time(), "rdtime");
    before = csr_read(mcycle);
    good = emulates(PRV_S, csr_instruction(2, CSR_CYCLE, 0), true);
    check(good && frame.x[13] >= before && frame.x[13] <= csr_read(mcycle), "rdcycle");
    before = csr_read(minstret);
    good = emulates(PRV_S, csr_instruction(2, CSR_INSTRET, 0), true);
    check(good && frame.x[13] >= before && frame.x[13] <= csr_read(minstret), "rdinstret");
    check(emulates(PRV_S, csr_instruction(2, CSR_TIME, 0), false), "rdtime with nothing in mtval");
    check(emulates(PRV_S, csr_instruction(3, CSR_TIME, 0), true) && emulates(PRV_S, csr_instruction(6, CSR_TIME, 0), true) &&
              emulates(PRV_S, csr_instruction(7, CSR_TIME, 0), true),
          "csrrc, csrrsi and csrrci that do not write");
    check(refuses(PRV_S, csr_instruction(1, CSR_TIME, 0), true) && refuses(PRV_S, csr_instruction(5, CSR_TIME, 0), true),
          "csrrw and csrrwi are illegal");
    check(refuses(PRV_S, csr_instruction(2, CSR_TIME, 5), true), "csrrs with a register is illegal");
    check(refuses(PRV_S, csr_instruction(2, 0xc03, 0), true) && refuses(PRV_S, csr_instruction(2, 0xc80, 0), true),
          "other counters are illegal");
    check(refuses(PRV_S, 0, false), "zeros are illegal");
    csr_write(scounteren, 0);
    check(refuses(PRV_U, csr_instruction(2, CSR_TIME, 0), true), "rdtime in U without scounteren.TM is the supervisor's");
    csr_write(scounteren, 2);
    check(emulates(PRV_U, csr_instruction(2, CSR_TIME, 0), true), "with it, it is not");
}

static void in_supervisor_mode(void)
{
    uint64_t cycle = csr_read(cycle), instret = csr_read(instret), time = csr_read(time);
    bool good = true;

    for (unsigned i = 0; i < 100; i++) {
        uint64_t c = csr_read(cycle), r = csr_read(instret), t = csr_read(time);
        good &= c > cycle && r > instret && t >= time;
        cycle = c, instret = r, time = t;
    }
    check(good, "300 counter reads in S-mode, through the trap vector");
    finish();
}

_Noreturn void test_main(uint64_t tree)
{
    (void)tree;
    harts_init();
    platform_init(NULL);
    console_init();
    hart_init();
    csr_write(pmpcfg0, 0x1f << 8);      /* this program is in the firmware's place: let S-mode have it */
    csr_write(stvec, STVEC);
    test_every_instruction();
    test_not_emulated();
    test_translated();
    test_redirection();
    test_counters();

    csr_write(mcounteren, 0);           /* from here on S-mode's reads of the counters trap */
    harts[0].stack_top -= 1024;         /* and have traps leave its stack alone */
    __asm__ volatile("la t0, 1f\n csrw mepc, t0\n csrc mstatus, %0\n csrs mstatus, %1\n mret\n1:"
                     : : "r"(MSTATUS_MPP), "r"(1UL << MSTATUS_MPP_SHIFT) : "t0", "memory");
    in_supervisor_mode();
    __builtin_unreachable();
}
