/* SPDX-License-Identifier: MIT */
/* The page fault demonstration, for `levels` levels of page tables. Returns what main should. */
int pagefault_demo(unsigned levels);
