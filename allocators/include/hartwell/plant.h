/* SPDX-License-Identifier: MIT */
/*
 * Planted bugs: PLANTED(MISSING_MERGE) is 1 where -DPLANT_MISSING_MERGE is given, else 0, as in
 *
 *     if (PLANTED(MISSING_MERGE))
 *         return;                             // planted: buddies are never put together again
 *
 * An allocator is built once without any, and once with each; the compiler leaves out what is not planted. To read the
 * allocator, take every PLANTED(...) for 0.
 */
#ifndef HARTWELL_PLANT_H
#define HARTWELL_PLANT_H

#define PLANTED(name)                   PLANTED_VALUE(PLANT_##name)
#define PLANTED_VALUE(value)            PLANTED_IS(value)               /* once more, so that it is expanded */
#define PLANTED_IS(value)               PLANTED_PAIR(PLANTED_IS_##value)
#define PLANTED_PAIR(pair)              PLANTED_SECOND(pair 1, 0)
#define PLANTED_SECOND(first, second, ...) second
#define PLANTED_IS_1                    0,      /* shifts the 1 into second place; any other name leaves the 0 there */

#endif
