/* SPDX-License-Identifier: MIT */
/* The floating-point registers by number, as 64-bit patterns. mstatus.FS must not be off. */
#ifndef FLOAT_H
#define FLOAT_H

#include <stdint.h>

uint64_t float_read(unsigned reg);
void float_write(unsigned reg, uint64_t bits);
#endif
