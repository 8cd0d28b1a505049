/* SPDX-License-Identifier: MIT */
/* Text is collected and goes to the firmware in one piece: through DBCN, or byte by byte where that is missing. */
#include "print.h"

#include <stdarg.h>

#include "sbi.h"

static struct {
    char text[256];
    unsigned used;
} buffer;

static void flush(void)
{
    /* The buffer's address is physical as well: images map their own memory one to one. */
    if (sbi_call(SBI_DBCN, 0, buffer.used, buffer.text, 0).error != SBI_SUCCESS)
        for (unsigned i = 0; i < buffer.used; i++)
            sbi_call(SBI_LEGACY_PUTCHAR, 0, buffer.text[i]);
    buffer.used = 0;
}

static void put(char c)
{
    if (c == '\n')
        put('\r');
    if (buffer.used == sizeof(buffer.text))
        flush();
    buffer.text[buffer.used++] = c;
}

static void put_field(const char *text, int length, int width, bool left)
{
    for (int i = length; !left && i < width; i++)
        put(' ');
    for (int i = 0; i < length; i++)
        put(text[i]);
    for (int i = length; left && i < width; i++)
        put(' ');
}

static void put_number(unsigned long value, unsigned base, bool negative, int width, bool left)
{
    char digits[24];
    int start = sizeof(digits);

    do {
        digits[--start] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    if (negative)
        digits[--start] = '-';
    put_field(digits + start, (int)sizeof(digits) - start, width, left);
}

void print(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    for (; *format; format++) {
        if (*format != '%') {
            put(*format);
            continue;
        }
        bool left = *++format == '-';
        format += left;
        int width = 0;
        for (; *format >= '0' && *format <= '9'; format++)
            width = width * 10 + (*format - '0');
        bool is_long = *format == 'l';
        format += is_long;

        if (*format == 's') {
            const char *s = va_arg(args, const char *);
            int length = 0;
            while (s[length])
                length++;
            put_field(s, length, width, left);
        } else if (*format == 'd') {
            long value = is_long ? va_arg(args, long) : va_arg(args, int);
            put_number(value < 0 ? -(unsigned long)value : (unsigned long)value, 10, value < 0, width, left);
        } else if (*format == 'u' || *format == 'x') {
            unsigned long value = is_long ? va_arg(args, unsigned long) : va_arg(args, unsigned);
            put_number(value, *format == 'x' ? 16 : 10, false, width, left);
        } else if (*format == 'c') {
            put((char)va_arg(args, int));
        } else {
            put(*format);
        }
    }
    va_end(args);
    flush();
}
