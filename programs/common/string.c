/* SPDX-License-Identifier: MIT */
/* What the compiler may call by itself. */
#include "sys.h"

void *memcpy(void *target, const void *source, size_t size)
{
    char *to = target;
    const char *from = source;

    while (size--)
        *to++ = *from++;
    return target;
}

void *memset(void *target, int byte, size_t size)
{
    char *to = target;

    while (size--)
        *to++ = byte;
    return target;
}
