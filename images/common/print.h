/* SPDX-License-Identifier: MIT */
/* The console of an S-mode image, by way of the firmware. */
#ifndef PRINT_H
#define PRINT_H

/* %s %c %d %u %x with l, - and a width. "\n" becomes "\r\n". Not for two harts at once. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
#endif
