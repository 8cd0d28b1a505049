/* SPDX-License-Identifier: MIT */
/* Page faults with 3 levels of page tables. The demonstration is shared: common/pagefault.c. */
#include "pagefault.h"

int main(void)
{
    return pagefault_demo(3);
}
