/* SPDX-License-Identifier: MIT */
/* The functions that a freestanding compiler expects to find. */
#include "memory.h"

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    return memmove(to, from, size);
}

void *memmove(void *to, const void *from, size_t size)
{
    unsigned char *d = to;
    const unsigned char *s = from;

    if (d < s)
        for (size_t i = 0; i < size; i++)
            d[i] = s[i];
    else
        for (size_t i = size; i > 0; i--)
            d[i - 1] = s[i - 1];
    return to;
}

void *memset(void *to, int value, size_t size)
{
    unsigned char *d = to;

    for (size_t i = 0; i < size; i++)
        d[i] = (unsigned char)value;
    return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
    const unsigned char *p = a, *q = b;

    for (size_t i = 0; i < size; i++)
        if (p[i] != q[i])
            return p[i] < q[i] ? -1 : 1;
    return 0;
}
