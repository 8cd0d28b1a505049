/* SPDX-License-Identifier: MIT */
/*
 * A reference-counted object, used by all CPUs at once; the last one to drop it frees it, exactly once.
 *
 *     CPU 0          get, put, put                     it holds a reference from the start on
 *     CPU n          look up, put if found; put        and so does every other
 */
#include <hartwell/race.h>

struct object {
    uint64_t references;
    uint64_t freed;                             /* how often */
};

static struct object object;

/* One more reference for somebody who has one. */
static void get(struct object *object)
{
#ifdef PLANT_LOST_UPDATE
    uint64_t references = __atomic_load_n(&object->references, __ATOMIC_RELAXED);
    __atomic_store_n(&object->references, references + 1, __ATOMIC_RELAXED);
#else
    __atomic_fetch_add(&object->references, 1, __ATOMIC_RELAXED);
#endif
}

/* Drop a reference; the last one frees the object. */
static void put(struct object *object)
{
    uint64_t before = __atomic_fetch_sub(&object->references, 1, __ATOMIC_ACQ_REL);
#ifdef PLANT_LATE_LOOK
    before = __atomic_load_n(&object->references, __ATOMIC_RELAXED) + 1;
#endif
    if (before == 1)
        __atomic_fetch_add(&object->freed, 1, __ATOMIC_RELAXED);
}

/* A reference for somebody who has none, unless the object is not in use any more. */
static int look_up(struct object *object)
{
    uint64_t references = __atomic_load_n(&object->references, __ATOMIC_RELAXED);
#ifdef PLANT_BLIND_ADD
    if (!references)
        return 0;
    __atomic_fetch_add(&object->references, 1, __ATOMIC_ACQUIRE);
    return 1;
#else
    while (references)
        if (__atomic_compare_exchange_n(&object->references, &references, references + 1, 0, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return 1;
    return 0;
#endif
}

void hartwell_race_init(void)
{
    object.references = hartwell_cpus();
    object.freed = 0;
}

void hartwell_race_thread(unsigned long number)
{
    if (number == 0) {
        get(&object);
        put(&object);
        put(&object);
        return;
    }
    put(&object);
    if (look_up(&object)) {
        if (object.freed)
            hartwell_panic("an object was looked up that is freed");
        put(&object);
    }
}

const char *hartwell_race_check(void)
{
    if (object.references)
        return "nobody uses the object, and its reference count is not 0";
    if (object.freed != 1)
        return object.freed ? "the object was freed twice" : "nobody uses the object, and it was not freed";
    return NULL;
}
