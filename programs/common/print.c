/* SPDX-License-Identifier: MIT */
#include "print.h"
#include <stdarg.h>

static char *put_number(char *at, unsigned long value, unsigned base)
{
    char digits[20];
    int count = 0;

    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    while (count)
        *at++ = digits[--count];
    return at;
}

void print(const char *format, ...)
{
    char line[512];
    char *at = line;
    va_list arguments;

    va_start(arguments, format);
    for (; *format && at < line + sizeof line - 64; format++) {
        int is_long = 0;

        if (*format != '%') {
            *at++ = *format;
            continue;
        }
        if (*++format == 'l') {
            is_long = 1;
            format++;
        }
        switch (*format) {
        case 's':
            for (const char *text = va_arg(arguments, const char *); *text && at < line + sizeof line - 64; text++)
                *at++ = *text;
            break;
        case 'c':
            *at++ = va_arg(arguments, int);
            break;
        case 'd': {
            long value = is_long ? va_arg(arguments, long) : va_arg(arguments, int);

            if (value < 0)
                *at++ = '-';
            at = put_number(at, value < 0 ? -(unsigned long)value : (unsigned long)value, 10);
            break;
        }
        case 'u':
        case 'x':
            at = put_number(at, is_long ? va_arg(arguments, unsigned long) : va_arg(arguments, unsigned),
                            *format == 'u' ? 10 : 16);
            break;
        default:
            *at++ = *format;
        }
    }
    va_end(arguments);
    write(1, line, at - line);
}
