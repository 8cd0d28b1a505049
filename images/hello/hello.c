/* SPDX-License-Identifier: MIT */
/* The smallest image that says something: entered by the firmware in S-mode, prints through the SBI, shuts down. */
#include "print.h"
#include "sbi.h"

int main(unsigned long hart)
{
    print("Hello from Hartwell.\n");
    print("This is hart %lu, in S-mode.\n", hart);
    return 0;
}
