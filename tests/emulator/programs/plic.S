/* SPDX-License-Identifier: MIT */
/*
 * The PLIC, driven by the UART's "transmitter empty" interrupt, source 10, which is high from the moment it is enabled until the
 * UART's IIR is read (RISC-V Platform-Level Interrupt Controller Specification 1.0.0).
 */
#include "harness.h"

#define PRIORITY    (PLIC + 40)
#define PENDING     (PLIC + 0x1000)
#define ENABLE(c)   (PLIC + 0x2000 + 0x80 * (c))
#define THRESHOLD(c) (PLIC + 0x200000 + 0x1000 * (c))
#define CLAIM(c)    (THRESHOLD(c) + 4)

    .macro  put address, value
    li      t0, \address
    li      t1, \value
    sw      t1, (t0)
    .endm

    .macro  get reg, address
    li      t0, \address
    lw      \reg, (t0)
    .endm

    .macro  pending reg                     /* MEIP and SEIP, when they have had time to follow */
    li      t0, 100
1:  addi    t0, t0, -1
    bnez    t0, 1b
    csrr    \reg, mip
    .endm

    .macro  fresh priority, threshold, context
    li      t0, UART
    sb      zero, 1(t0)
    lbu     t1, 2(t0)                       /* IIR: line low */
    put     ENABLE(0), 1 << 10
    put     ENABLE(1), 1 << 10
    put     PRIORITY, 1
    get     t1, CLAIM(0)
    put     CLAIM(0), 10
    put     ENABLE(0), 0
    put     ENABLE(1), 0
    put     PRIORITY, \priority
    put     THRESHOLD(0), 7
    put     THRESHOLD(1), 7
    put     THRESHOLD(\context), \threshold
    put     ENABLE(\context), 1 << 10
    .endm

    .macro  raise
    li      t0, UART
    li      t1, 2
    sb      t1, 1(t0)
    .endm

    .macro  lower
    li      t0, UART
    sb      zero, 1(t0)
    lbu     t1, 2(t0)
    .endm

    .text
    .globl program
program:
    CHECK("an enabled source raises MEIP in context 0")
    fresh   1, 0, 0
    raise
    pending t1
    EXPECT(t1, MEIP)
    get     t1, PENDING
    EXPECT(t1, 1 << 10)

    CHECK("an enabled source raises SEIP in context 1")
    fresh   1, 0, 1
    raise
    pending t1
    EXPECT(t1, SEIP)

    CHECK("a line's SEIP is not cleared by a write of mip, nor set for good")
    fresh   1, 0, 1
    raise
    pending t1
    li      t2, SEIP
    csrc    mip, t2
    csrr    t1, mip
    EXPECT(t1, SEIP)
    csrsi   mip, SSIP                       /* must not catch the line's SEIP in the software bit */
    lower
    get     t3, CLAIM(1)
    pending t1
    EXPECT(t1, SSIP)
    put     CLAIM(1), 10

    CHECK("a source that is not enabled is pending and raises nothing")
    fresh   1, 0, 0
    put     ENABLE(0), 0
    raise
    pending t1
    EXPECT(t1, 0)
    get     t1, PENDING
    EXPECT(t1, 1 << 10)

    CHECK("a source of priority 0 never interrupts, and cannot be claimed")
    fresh   0, 0, 0
    raise
    pending t1
    EXPECT(t1, 0)
    get     t1, CLAIM(0)
    EXPECT(t1, 0)

    CHECK("a threshold masks priorities up to its own")
    fresh   3, 3, 0
    raise
    pending t1
    EXPECT(t1, 0)
    put     THRESHOLD(0), 2
    pending t1
    EXPECT(t1, MEIP)
    put     PRIORITY, 2
    pending t1
    EXPECT(t1, 0)

    CHECK("a claim gives the source, clears its pending bit and lowers MEIP")
    fresh   1, 0, 0
    raise
    get     t2, CLAIM(0)
    EXPECT(t2, 10)
    get     t2, PENDING
    EXPECT(t2, 0)
    pending t1
    EXPECT(t1, 0)

    CHECK("a second claim gives 0")
    fresh   1, 0, 0
    raise
    get     t2, CLAIM(0)
    get     t2, CLAIM(0)
    EXPECT(t2, 0)

    CHECK("a claim ignores the threshold")
    fresh   1, 7, 0
    raise
    get     t2, CLAIM(0)
    EXPECT(t2, 10)

    CHECK("after completion a line that is still high interrupts again")
    fresh   1, 0, 0
    raise
    get     t2, CLAIM(0)
    put     CLAIM(0), 10
    pending t1
    EXPECT(t1, MEIP)

    CHECK("after completion a line that went low does not")
    fresh   1, 0, 0
    raise
    get     t2, CLAIM(0)
    lower
    put     CLAIM(0), 10
    pending t1
    EXPECT(t1, 0)

    CHECK("completion of another number completes nothing")
    fresh   1, 0, 0
    raise
    get     t2, CLAIM(0)
    put     CLAIM(0), 11
    pending t1
    EXPECT(t1, 0)
    put     CLAIM(0), 10

    CHECK("the registers read back what was written, and pending is read-only")
    fresh   5, 3, 0
    get     t1, PRIORITY
    EXPECT(t1, 5)
    get     t1, THRESHOLD(0)
    EXPECT(t1, 3)
    get     t1, ENABLE(0)
    EXPECT(t1, 1 << 10)
    put     PENDING, -1
    get     t1, PENDING
    EXPECT(t1, 0)

    FINISH
