/* SPDX-License-Identifier: MIT */
/*
 * The harness of the privileged-architecture programs: named checks that do not depend on one another.
 *
 *      CHECK(name)             reset the machine's state (see reset_state), begin check `name`
 *      EXPECT(reg, value)      a register against a constant expression
 *      EXPECT_REG(reg, reg)    a register against another
 *      EXPECT_M(cause, tval)   the last trap taken to M-mode, as trap_m recorded it; EXPECT_S likewise
 *      FINISH                  end the machine: exit code 0, or the number of the first check that failed
 *
 * A failed expectation prints a line and goes on with the next check. Expectations are made in M-mode. Code in S and U is run
 * with RUN_S(label), RUN_U(label): it ends with any trap that reaches M-mode, mostly `ecall`, and the program goes on behind the
 * macro. TRY(instructions) runs instructions in M-mode that are expected to trap.
 *
 * Registers: s8 line of the expectation, s9 where trap_m goes on, s10 the next check, s11 its number; t5 and t6 are scratch of
 * every macro here. All others belong to the checks.
 *
 * Virtual memory: 0x8000_0000 is mapped to itself for S, and to 0xc000_0000 for U (labels + U_ALIAS); pages of 0x4000_0000 are
 * mapped one by one with MAP(index, label, flags), at TEST_VA(index).
 */
#define UART            0x10000000
#define FINISHER        0x100000
#define CLINT           0x2000000
#define CLINT_MTIMECMP  (CLINT + 0x4000)
#define CLINT_MTIME     (CLINT + 0xbff8)
#define PLIC            0xc000000
#define HOLE            0x18000000          /* nothing answers here */

#define SIE_BIT   (1 << 1)
#define MIE_BIT   (1 << 3)
#define SPIE      (1 << 5)
#define MPIE      (1 << 7)
#define SPP       (1 << 8)
#define MPP       (3 << 11)
#define MPP_S     (1 << 11)
#define MPP_SHIFT 11
#define FS        (3 << 13)
#define FS_INITIAL (1 << 13)
#define FS_CLEAN  (2 << 13)
#define MPRV      (1 << 17)
#define SUM       (1 << 18)
#define MXR       (1 << 19)
#define TVM       (1 << 20)
#define TW        (1 << 21)
#define TSR       (1 << 22)

#define SSIP 2
#define MSIP 8
#define STIP 32
#define MTIP 128
#define SEIP 512
#define MEIP 2048

#define V 1
#define R 2
#define W 4
#define X 8
#define U 16
#define G 32
#define A 64
#define D 128
#define RWXAD (V | R | W | X | A | D)

#define FETCH_ACCESS 1
#define ILLEGAL 2
#define BREAKPOINT 3
#define LOAD_MISALIGNED 4
#define LOAD_ACCESS 5
#define STORE_MISALIGNED 6
#define STORE_ACCESS 7
#define ECALL_U 8
#define ECALL_S 9
#define ECALL_M 11
#define FETCH_PAGE 12
#define LOAD_PAGE 13
#define STORE_PAGE 15
#define INTERRUPT(n) ((1 << 63) | (n))

#define U_ALIAS 0x40000000
#define TEST_VA(index) (0x40000000 + (index) * 0x1000)

/* offsets in the trap records `record_m` and `record_s` */
#define CAUSE 0
#define EPC 8
#define TVAL 16
#define STATUS 24
#define TAKEN 32                            /* how many so far in this check */

#define CHECK(name) check_ name
#define EXPECT(reg, value) expect_ __LINE__, reg, value
#define EXPECT_REG(reg, other) expect_reg_ __LINE__, reg, other
#define EXPECT_AT(where, offset, value) expect_at_ __LINE__, (where + offset), value
#define EXPECT_M(cause, tval) EXPECT_AT(record_m, CAUSE, cause); EXPECT_AT(record_m, TVAL, tval)
#define EXPECT_S(cause, tval) EXPECT_AT(record_s, CAUSE, cause); EXPECT_AT(record_s, TVAL, tval)
#define EXPECT_M_EPC(label) EXPECT_AT(record_m, EPC, label)
#define EXPECT_S_EPC(label) EXPECT_AT(record_s, EPC, label)
#define EXPECT_M_TRAPS(count) EXPECT_AT(record_m, TAKEN, count)
#define EXPECT_S_TRAPS(count) EXPECT_AT(record_s, TAKEN, count)
#define EXPECT_CSR(csr, mask, value) expect_csr_ __LINE__, csr, mask, value
#define EXPECT_STATUS(mask, value) expect_status_ __LINE__, record_m, mask, value
#define EXPECT_SSTATUS(mask, value) expect_status_ __LINE__, record_s, mask, value
#define FAIL fail_ __LINE__
#define RUN_S(label) run_ 1, label
#define RUN_U(label) run_ 0, label
#define RUN_M(label) run_ 3, label
#define RUN_U_PAGED(label) run_ 0, (label + U_ALIAS)
#define TRY(...) try_; 98: __VA_ARGS__; try_end_ __LINE__
#define MAP(index, label, flags) map_ leaves, index, label, flags
#define MAP_AT(table, index, label, flags) map_ table, index, label, flags
#define MAP_CONSTANT(table, index, pte) map_constant_ table, index, pte
#define SV39 paging_ 8, root39
#define SV48 paging_ 9, root48
#define SV57 paging_ 10, root57
#define SET_CSR(csr, value) set_csr_ csrw, csr, value
#define SET_BITS(csr, value) set_csr_ csrs, csr, value
#define CLEAR_BITS(csr, value) set_csr_ csrc, csr, value


    .macro check_ name
77: la      s10, 77f
    la      t6, 78f
    jal     t5, begin_check
    .pushsection .rodata
78: .asciz  "\name"
    .popsection
    .endm

#define FINISH 77: j finish

    .macro literal_ reg, value              /* a constant or a label, as it is */
    j       97f
    .balign 8
96: .dword  \value
97: ld      \reg, 96b
    .endm

    .macro compare_ line                    /* t5 is, t6 should be */
    beq     t5, t6, 97f
    li      s8, \line
    j       fail_values
97:
    .endm

    .macro expect_ line, reg, value
    mv      t5, \reg
    literal_ t6, \value
    compare_ \line
    .endm

    .macro expect_reg_ line, reg, other
    mv      t5, \reg
    mv      t6, \other
    compare_ \line
    .endm

    .macro expect_at_ line, where, value
    ld      t5, \where
    literal_ t6, \value
    compare_ \line
    .endm

    .macro expect_csr_ line, csr, mask, value
    csrr    t5, \csr
    literal_ t6, \mask
    and     t5, t5, t6
    literal_ t6, \value
    compare_ \line
    .endm

    .macro expect_status_ line, record, mask, value
    ld      t5, \record + STATUS
    literal_ t6, \mask
    and     t5, t5, t6
    literal_ t6, \value
    compare_ \line
    .endm

    .macro fail_ line
    li      s8, \line
    j       fail_reached
    .endm

    .macro set_csr_ how, csr, value
    literal_ t5, \value
    \how    \csr, t5
    .endm

    .macro run_ prv, target
    la      s9, 99f
    la      t5, \target
    csrw    mepc, t5
    li      t5, MPP
    csrc    mstatus, t5
    li      t5, \prv << MPP_SHIFT
    csrs    mstatus, t5
    mret
    .balign 4
99: la      s9, unexpected_trap
    .endm

    .macro try_
    la      s9, 99f
    .endm

    .macro try_end_ line
    fail_   \line
    .balign 4
99: la      s9, unexpected_trap
    .endm

    .macro map_ table, index, label, flags
    la      t5, \label
    srli    t5, t5, 12
    slli    t5, t5, 10
    literal_ t6, (\flags)
    or      t5, t5, t6
    la      t6, \table + 8 * (\index)
    sd      t5, (t6)
    .endm

    .macro map_constant_ table, index, pte
    literal_ t5, \pte
    la      t6, \table + 8 * (\index)
    sd      t5, (t6)
    .endm

    .macro paging_ mode, root
    la      t5, \root
    srli    t5, t5, 12
    li      t6, \mode
    slli    t6, t6, 60
    or      t5, t5, t6
    csrw    satp, t5
    sfence.vma
    .endm

    .option norvc
