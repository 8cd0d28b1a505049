/* SPDX-License-Identifier: MIT */
/* Loads and stores that a first-level cache holds. 64 million instructions. */
#include "finish.h"
#include "walk.h"
    walk    8 << 10, 4 << 20
