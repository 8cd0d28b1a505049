/* SPDX-License-Identifier: MIT */
/* Loads and stores that no first-level cache holds: one miss in each round. 64 million instructions. */
#include "finish.h"
#include "walk.h"
    walk    1 << 20, 4 << 20
