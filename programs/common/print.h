/* SPDX-License-Identifier: MIT */
/* Printing on standard output, and giving up. */
#ifndef PRINT_H
#define PRINT_H
#include "sys.h"

/* %s %c %d %u %x with l. One write for each call. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Exit with code 1 unless `condition`, after saying where. */
#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            print("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);           \
            exit(1);                                                                \
        }                                                                           \
    } while (0)
#endif
