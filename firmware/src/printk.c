/* SPDX-License-Identifier: MIT */
/* A small printf for the console. */
#include <stdarg.h>

#include "console.h"

static void put(char c)
{
    if (c == '\n')
        console_putc('\r');
    console_putc((uint8_t)c);
}

static void pad(char c, int count)
{
    while (count-- > 0)
        put(c);
}

static void put_number(unsigned long value, unsigned base, bool negative, int width, char fill)
{
    char digits[24];
    int n = 0;

    do {
        digits[n++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    if (negative)
        digits[n++] = '-';
    pad(fill, width - n);
    while (n)
        put(digits[--n]);
}

static void put_string(const char *s, int width, bool left)
{
    int length = 0;

    while (s[length])
        length++;
    if (!left)
        pad(' ', width - length);
    for (int i = 0; i < length; i++)
        put(s[i]);
    if (left)
        pad(' ', width - length);
}

void printk(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    for (; *format; format++) {
        if (*format != '%') {
            put(*format);
            continue;
        }
        bool left = *++format == '-';
        if (left)
            format++;
        char fill = *format == '0' ? '0' : ' ';
        int width = 0;
        for (; *format >= '0' && *format <= '9'; format++)
            width = width * 10 + (*format - '0');
        bool is_long = *format == 'l';
        if (is_long)
            format++;

        switch (*format) {
        case 's':
            put_string(va_arg(args, const char *), width, left);
            break;
        case 'c':
            put((char)va_arg(args, int));
            break;
        case 'd': {
            long value = is_long ? va_arg(args, long) : va_arg(args, int);
            put_number(value < 0 ? -(unsigned long)value : (unsigned long)value, 10, value < 0, width, fill);
            break;
        }
        case 'u':
        case 'x': {
            unsigned long value = is_long ? va_arg(args, unsigned long) : va_arg(args, unsigned);
            put_number(value, *format == 'x' ? 16 : 10, false, width, fill);
            break;
        }
        default:
            put(*format);               /* "%%" */
        }
    }
    va_end(args);
}
