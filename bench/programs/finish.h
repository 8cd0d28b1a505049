/* SPDX-License-Identifier: MIT */
/* The end of every program: PASS on the test finisher. Raw Unicorn, which has none, is stopped at `done`. */
    .macro finish
    .globl done
done:
    li      t0, 0x100000
    li      t1, 0x5555
    sw      t1, (t0)
1:  j       1b
    .endm
