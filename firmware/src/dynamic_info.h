/* SPDX-License-Identifier: MIT */
/* What a boot ROM (QEMU's, Hartwell's) leaves in memory for the firmware: where the next stage is, and its mode. */
#ifndef DYNAMIC_INFO_H
#define DYNAMIC_INFO_H

#define DYNAMIC_INFO_MAGIC 0x4942534f /* "OSBI", little endian */
#define DYNAMIC_INFO_MAGIC_OFFSET 0
#define DYNAMIC_INFO_VERSION_OFFSET 8
#define DYNAMIC_INFO_BOOT_HART_OFFSET 40

#ifndef __ASSEMBLER__
#include <stdint.h>

struct dynamic_info {
    uint64_t magic;
    uint64_t version;
    uint64_t next_addr;
    uint64_t next_mode;
    uint64_t options;
    uint64_t boot_hart;         /* from version 2 on; any number that is no hart id means: whichever is first */
};
#endif
#endif
