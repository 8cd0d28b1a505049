/* SPDX-License-Identifier: MIT */
/* Physical memory protection without locks (privileged specification 3.7). Entry 15 opens everything, unless a check says otherwise. */
#include "harness.h"

#define PMP_R 1
#define PMP_W 2
#define PMP_X 4
#define RWX 7
#define TOR 8
#define NA4 16
#define NAPOT 24
#define END 0x1000

    .macro  pmp_address number, label, offset
    la      t5, \label
    li      t6, \offset
    add     t5, t5, t6
    srli    t5, t5, 2
    csrw    pmpaddr\number, t5
    .endm

    .macro  pmp_napot number, label, size   /* a power of two from 8 */
    la      t5, \label
    li      t6, \size / 2 - 1
    or      t5, t5, t6
    srli    t5, t5, 2
    csrw    pmpaddr\number, t5
    .endm

#define CONFIG(c0, c1, c2, c3) SET_CSR(pmpcfg0, (c0) | (c1) << 8 | (c2) << 16 | (c3) << 24)
#define OPEN_LAST li t5, -1; csrw pmpaddr15, t5; SET_CSR(pmpcfg2, (RWX | NAPOT) << 56)

/* what S may do at a0 */
#define MAY_LOAD    RUN_S(load_a0);     EXPECT_M(ECALL_S, 0)
#define MAY_STORE   RUN_S(store_a0);    EXPECT_M(ECALL_S, 0)
#define MAY_JUMP    RUN_S(jump_a0);     EXPECT_M(ECALL_S, 0)
#define NO_LOAD     RUN_S(load_a0);     EXPECT_AT(record_m, CAUSE, LOAD_ACCESS);  ld t5, record_m + TVAL; EXPECT_REG(a0, t5)
#define NO_STORE    RUN_S(store_a0);    EXPECT_AT(record_m, CAUSE, STORE_ACCESS); ld t5, record_m + TVAL; EXPECT_REG(a0, t5)
#define NO_JUMP     RUN_S(jump_a0);     EXPECT_AT(record_m, CAUSE, FETCH_ACCESS); ld t5, record_m + TVAL; EXPECT_REG(a0, t5)

    .macro  code_at label, offset           /* put `ret` there */
    la      t0, \label
    li      t1, \offset
    add     t0, t0, t1
    li      t1, 0x8067
    sw      t1, (t0)
    fence.i
    .endm

    .text
    .globl program
program:
    CHECK("with no entry matching, M-mode may do everything")
    csrw    pmpcfg0, zero
    code_at page0, 0
    la      a0, page0
    ld      a1, (a0)
    sd      a1, (a0)
    jalr    a0

    CHECK("with no entry matching, S-mode may do nothing")
    csrw    pmpcfg0, zero
    la      a0, load_a0
    RUN_S(load_a0)
    EXPECT_M(FETCH_ACCESS, load_a0)
    EXPECT_M_EPC(load_a0)

    CHECK("with no entry matching, U-mode may do nothing")
    csrw    pmpcfg0, zero
    RUN_U(load_a0)
    EXPECT_M(FETCH_ACCESS, load_a0)

    CHECK("a NAPOT entry of a page gives R only")
    OPEN_LAST
    pmp_napot 0, page0, END
    CONFIG(PMP_R | NAPOT, 0, 0, 0)
    code_at page0, 0
    la      a0, page0
    MAY_LOAD
    NO_STORE
    NO_JUMP
    la      a0, page1
    MAY_STORE

    CHECK("a NAPOT entry of a page gives R and W only")
    OPEN_LAST
    pmp_napot 0, page0, END
    CONFIG(PMP_R | PMP_W | NAPOT, 0, 0, 0)
    code_at page0, 0
    la      a0, page0
    MAY_LOAD
    MAY_STORE
    NO_JUMP

    CHECK("a NAPOT entry of a page gives X only")
    OPEN_LAST
    pmp_napot 0, page0, END
    CONFIG(PMP_X | NAPOT, 0, 0, 0)
    code_at page0, 0
    la      a0, page0
    MAY_JUMP
    NO_LOAD
    NO_STORE

    CHECK("a NAPOT entry of a page gives R and X only, also to a store after a load")
    OPEN_LAST
    pmp_napot 0, page0, END
    CONFIG(PMP_R | PMP_X | NAPOT, 0, 0, 0)
    code_at page0, 0
    la      a0, page0
    MAY_LOAD
    MAY_JUMP
    NO_STORE
    RUN_S(amo_a0)
    EXPECT_AT(record_m, CAUSE, STORE_ACCESS)
    RUN_S(lr_sc_a0)
    EXPECT_AT(record_m, CAUSE, STORE_ACCESS)
    EXPECT_M_EPC(sc_a0)

    CHECK("an AMO and LR without R fault as what they are")
    OPEN_LAST
    pmp_napot 0, page0, END
    CONFIG(NAPOT, 0, 0, 0)
    la      a0, page0
    RUN_S(amo_a0)
    EXPECT_AT(record_m, CAUSE, STORE_ACCESS)
    RUN_S(lr_sc_a0)
    EXPECT_AT(record_m, CAUSE, LOAD_ACCESS)

    CHECK("an entry that is off matches nothing")
    OPEN_LAST
    pmp_napot 0, page0, END
    CONFIG(0, 0, 0, 0)
    la      a0, page0
    MAY_STORE

    CHECK("a TOR entry runs from the address below it to its own")
    OPEN_LAST
    pmp_address 0, page0, 0x800
    pmp_address 1, page1, 0x400
    CONFIG(0, PMP_R | TOR, 0, 0)
    la      a0, page0 + 0x7f8
    MAY_STORE
    la      a0, page0 + 0x800
    NO_STORE
    MAY_LOAD
    la      a0, page1 + 0x3f8
    NO_STORE
    la      a0, page1 + 0x400
    MAY_STORE

    CHECK("a TOR entry 0 runs from 0")
    OPEN_LAST
    pmp_address 0, _start, 0
    CONFIG(TOR, 0, 0, 0)
    li      a0, 0x1000
    NO_LOAD
    la      a0, page0
    MAY_LOAD

    CHECK("a TOR entry whose top is not above its bottom matches nothing")
    OPEN_LAST
    pmp_address 0, page1, 0
    pmp_address 1, page0, 0
    CONFIG(0, TOR, 0, 0)
    la      a0, page0
    MAY_STORE
    la      a0, page0 + 0xff8
    MAY_STORE
    la      a0, page1
    MAY_STORE

    CHECK("an NA4 entry is four bytes")
    OPEN_LAST
    pmp_address 0, page0, 0x100
    CONFIG(NA4, 0, 0, 0)
    la      a0, page0 + 0x100
    RUN_S(load4_a0)
    EXPECT_AT(record_m, CAUSE, LOAD_ACCESS)
    la      a0, page0 + 0xfc
    RUN_S(load4_a0)
    EXPECT_M(ECALL_S, 0)
    la      a0, page0 + 0x104
    RUN_S(load4_a0)
    EXPECT_M(ECALL_S, 0)

    CHECK("a NAPOT entry of eight bytes is eight bytes")
    OPEN_LAST
    pmp_napot 0, (page0 + 0x100), 8
    CONFIG(NAPOT, 0, 0, 0)
    la      a0, page0 + 0x100
    NO_LOAD
    la      a0, page0 + 0xf8
    MAY_LOAD
    la      a0, page0 + 0x108
    MAY_LOAD

    CHECK("of two entries that match the lower one decides")
    OPEN_LAST
    pmp_napot 0, (page0 + 0x100), 8
    pmp_napot 1, page0, END
    CONFIG(RWX | NAPOT, NAPOT, 0, 0)
    la      a0, page0 + 0x100
    MAY_STORE
    la      a0, page0 + 0x108
    NO_STORE

    CHECK("an access that an entry matches in part fails, whatever other entries say")
    OPEN_LAST
    pmp_address 0, page0, 0x104
    CONFIG(RWX | NA4, 0, 0, 0)
    la      a0, page0 + 0x100
    NO_LOAD
    NO_STORE
    la      a0, page0 + 0x104
    NO_LOAD
    RUN_S(load4_a0)
    EXPECT_M(ECALL_S, 0)

    CHECK("a store across the bytes of an entry stores nothing")
    OPEN_LAST
    pmp_address 0, page0, 0x104
    CONFIG(NA4, 0, 0, 0)
    la      a0, page0 + 0x100
    sw      zero, (a0)
    li      s0, -1
    NO_STORE
    lw      t0, (a0)
    EXPECT(t0, 0)

    CHECK("an access in M-mode that an unlocked entry matches in part fails")
    OPEN_LAST
    pmp_address 0, page0, 0x104
    CONFIG(RWX | NA4, 0, 0, 0)
    sfence.vma
    la      a0, page0 + 0x100
    TRY(ld a1, (a0))
    EXPECT_M(LOAD_ACCESS, page0 + 0x100)
    TRY(sd a1, (a0))
    EXPECT_M(STORE_ACCESS, page0 + 0x100)
    lw      a1, 4(a0)

    CHECK("code beside forbidden bytes of its page runs, and the bytes themselves do not")
    OPEN_LAST
    code_at page0, 0x0fc
    code_at page0, 0x100
    code_at page0, 0x104
    pmp_address 0, page0, 0x100
    CONFIG(PMP_R | NA4, 0, 0, 0)
    la      a0, page0 + 0xfc
    MAY_JUMP
    la      a0, page0 + 0x104
    MAY_JUMP
    la      a0, page0 + 0x100
    NO_JUMP

    CHECK("straight code that runs into forbidden bytes of its page faults there")
    OPEN_LAST
    la      t0, page0 + 0xf8
    li      t1, 0x0015859300158593          /* addi a1, a1, 1 twice */
    sd      t1, (t0)
    sd      t1, 8(t0)
    fence.i
    pmp_address 0, page0, 0x100
    CONFIG(PMP_R | NA4, 0, 0, 0)
    la      a0, page0 + 0xf8
    li      a1, 0
    RUN_S(jump_a0)
    EXPECT_M(FETCH_ACCESS, page0 + 0x100)
    EXPECT_M_EPC(page0 + 0x100)
    EXPECT(a1, 2)

    CHECK("an instruction half of which is forbidden faults at itself")
    OPEN_LAST
    la      t0, page0 + 0xfe
    li      t1, 0x00158593
    sw      t1, (t0)
    fence.i
    pmp_address 0, page0, 0x100
    CONFIG(PMP_R | NA4, 0, 0, 0)
    la      a0, page0 + 0xfe
    RUN_S(jump_a0)
    EXPECT_AT(record_m, CAUSE, FETCH_ACCESS)
    EXPECT_M_EPC(page0 + 0xfe)

    CHECK("single-precision code beside forbidden bytes boxes its operands")
    SET_BITS(mstatus, FS)
    OPEN_LAST
    la      t0, page0 + 0x200
    li      t1, 0x0000806700c5f553          /* fadd.s fa0, fa1, fa2; ret */
    sd      t1, (t0)
    fence.i
    pmp_address 0, page0, 0x100
    CONFIG(PMP_R | NA4, 0, 0, 0)
    li      t0, 0x3f800000
    fmv.d.x fa1, t0
    fmv.w.x fa2, t0
    la      a0, page0 + 0x200
    RUN_S(jump_a0)
    EXPECT_M(ECALL_S, 0)
    fmv.x.d t0, fa0
    EXPECT(t0, 0xffffffff7fc00000)

    CHECK("MPRV checks loads and stores as MPP would")
    OPEN_LAST
    pmp_napot 0, page0, END
    CONFIG(PMP_R | NAPOT, 0, 0, 0)
    la      a0, page0
    SET_BITS(mstatus, MPRV | MPP_S)
    ld      a1, (a0)
    TRY(sd a1, (a0))
    EXPECT_AT(record_m, CAUSE, STORE_ACCESS)

    CHECK("the page-table walk is a load by S: without R it is an access fault of the access's own kind")
    OPEN_LAST
    MAP(0, page0, RWXAD)
    pmp_napot 0, leaves, END
    CONFIG(NAPOT, 0, 0, 0)
    SV39
    li      a0, TEST_VA(0)
    NO_LOAD
    NO_STORE
    NO_JUMP

    CHECK("the page-table walk needs no more than R if A and D are set")
    OPEN_LAST
    MAP(0, page0, RWXAD)
    pmp_napot 0, leaves, END
    CONFIG(PMP_R | NAPOT, 0, 0, 0)
    SV39
    li      a0, TEST_VA(0)
    MAY_STORE

    CHECK("setting A or D needs W on the page table")
    OPEN_LAST
    MAP(0, page0, V | R | W | X)
    MAP(1, page0, V | R | W | X | A)
    pmp_napot 0, leaves, END
    CONFIG(PMP_R | NAPOT, 0, 0, 0)
    SV39
    li      a0, TEST_VA(0)
    NO_LOAD
    NO_JUMP
    li      a0, TEST_VA(1)
    MAY_LOAD
    NO_STORE

    CHECK("physical protection applies behind translation, and tval is virtual")
    OPEN_LAST
    MAP(0, page0, RWXAD)
    pmp_napot 0, page0, END
    CONFIG(PMP_R | NAPOT, 0, 0, 0)
    SV39
    li      a0, TEST_VA(0) + 16
    MAY_LOAD
    NO_STORE
    NO_JUMP

    CHECK("a part of a translated page can be forbidden")
    OPEN_LAST
    MAP(0, page0, RWXAD)
    pmp_napot 0, (page0 + 0x100), 8
    CONFIG(PMP_R | NAPOT, 0, 0, 0)
    SV39
    li      a0, TEST_VA(0) + 0x100
    MAY_LOAD
    NO_STORE
    li      a0, TEST_VA(0) + 0x108
    MAY_LOAD
    MAY_STORE

    CHECK("an access across two virtual pages does not touch what lies behind the first one physically")
    OPEN_LAST
    MAP(0, page0, RWXAD)
    MAP(1, page2, RWXAD)
    pmp_napot 0, page1, END
    CONFIG(NAPOT, 0, 0, 0)
    SV39
    li      a0, TEST_VA(0) + END - 4
    MAY_LOAD
    MAY_STORE

    CHECK("an access across two virtual pages faults in the second, with its address, if that is forbidden")
    OPEN_LAST
    MAP(0, page0, RWXAD)
    MAP(1, page2, RWXAD)
    pmp_napot 0, page2, END
    CONFIG(NAPOT, 0, 0, 0)
    SV39
    li      a0, TEST_VA(0) + END - 4
    RUN_S(load_a0)
    EXPECT_M(LOAD_ACCESS, TEST_VA(1))
    sd      zero, page0 + END - 8, t0
    li      s0, -1
    RUN_S(store_a0)
    EXPECT_M(STORE_ACCESS, TEST_VA(1))
    ld      t0, page0 + END - 8
    EXPECT(t0, 0)

    CHECK("a change of pmpcfg is effective after sfence.vma")
    OPEN_LAST
    pmp_napot 0, page0, END
    CONFIG(RWX | NAPOT, 0, 0, 0)
    la      a0, page0
    MAY_STORE
    CONFIG(PMP_R | NAPOT, 0, 0, 0)
    sfence.vma
    MAY_LOAD
    NO_STORE

    CHECK("a change of pmpaddr is effective after sfence.vma")
    OPEN_LAST
    pmp_napot 0, page0, END
    CONFIG(PMP_R | NAPOT, 0, 0, 0)
    la      a0, page1
    MAY_STORE
    pmp_napot 0, page1, END
    sfence.vma
    NO_STORE
    la      a0, page0
    MAY_STORE

    CHECK("device registers are protected as memory is")
    OPEN_LAST
    li      t0, (0x10000000 >> 2) | 0x1ff
    csrw    pmpaddr0, t0
    CONFIG(PMP_R | NAPOT, 0, 0, 0)
    li      a0, 0x10000007
    RUN_S(load1_a0)
    EXPECT_M(ECALL_S, 0)
    RUN_S(store1_a0)
    EXPECT_M(STORE_ACCESS, 0x10000007)

    CHECK("pmpcfg bits 5 and 6 read zero")
    li      t0, 0x7f
    csrw    pmpcfg0, t0
    csrr    t1, pmpcfg0
    EXPECT(t1, 0x1f)

    CHECK("pmpaddr has 54 bits")
    li      t0, -1
    csrw    pmpaddr3, t0
    csrr    t1, pmpaddr3
    EXPECT(t1, (1 << 54) - 1)

    CHECK("there are sixteen entries, and odd pmpcfg registers do not exist")
    csrr    t0, pmpaddr15
    TRY(csrr t0, pmpcfg1)
    EXPECT_AT(record_m, CAUSE, ILLEGAL)
    TRY(csrr t0, pmpcfg3)
    EXPECT_AT(record_m, CAUSE, ILLEGAL)

    CHECK("pmpcfg and pmpaddr are M-mode's only")
    RUN_S(read_pmpcfg)
    EXPECT_AT(record_m, CAUSE, ILLEGAL)
    RUN_S(read_pmpaddr)
    EXPECT_AT(record_m, CAUSE, ILLEGAL)

    FINISH

load_a0:
    ld      a1, (a0)
    ecall
load4_a0:
    lw      a1, (a0)
    ecall
load1_a0:
    lb      a1, (a0)
    ecall
store_a0:
    sd      s0, (a0)
    ecall
store1_a0:
    sb      s0, (a0)
    ecall
amo_a0:
    amoadd.d a1, s0, (a0)
    ecall
lr_sc_a0:
    lr.d    a1, (a0)
sc_a0:
    sc.d    a1, s0, (a0)
    ecall
jump_a0:
    jalr    a0
    ecall
read_pmpcfg:
    csrr    a1, pmpcfg0
read_pmpaddr:
    csrr    a1, pmpaddr0
