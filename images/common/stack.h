/* SPDX-License-Identifier: MIT */
#define MAX_HARTS 8
#define STACK_SHIFT 13
