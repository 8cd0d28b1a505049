/* SPDX-License-Identifier: MIT */
/* A spin lock. The firmware never waits for another hart while it holds one. */
#ifndef LOCK_H
#define LOCK_H

#include <stdint.h>

struct lock {
    uint32_t taken;
};

static inline void lock_take(struct lock *lock)
{
    while (__atomic_exchange_n(&lock->taken, 1, __ATOMIC_ACQUIRE))
        ;
}

static inline void lock_release(struct lock *lock)
{
    __atomic_store_n(&lock->taken, 0, __ATOMIC_RELEASE);
}
#endif
