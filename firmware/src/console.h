/* SPDX-License-Identifier: MIT */
/* The firmware's console: the UART behind DBCN, the legacy calls and the firmware's own messages. */
#ifndef CONSOLE_H
#define CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool console_present(void);
void console_init(void);
void console_putc(uint8_t c);           /* raw: a newline stays a newline */
int console_getc(void);                 /* -1 if nothing has been received */

void console_lock(void);
void console_unlock(void);
void console_break_lock(void);

/* %s %c %d %u %x, with l, and with - 0 and a width. "\n" becomes "\r\n". Takes no lock. */
void printk(const char *format, ...) __attribute__((format(printf, 1, 2)));
#endif
