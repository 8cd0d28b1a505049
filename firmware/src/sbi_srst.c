/* SPDX-License-Identifier: MIT */
/*
 * System Reset extension (chapter 10), by way of the test finisher:
 *
 *   shutdown, no reason           0x5555           an emulator exits with 0
 *   shutdown, system failure      0x3333, code 1   an emulator exits with 1
 *   cold and warm reboot          0x7777           the machine starts anew
 */
#include "platform.h"
#include "sbi.h"

enum { SYSTEM_RESET };
enum { TYPE_SHUTDOWN, TYPE_COLD_REBOOT, TYPE_WARM_REBOOT };
enum { REASON_NONE, REASON_FAILURE };

struct sbiret sbi_srst(unsigned long fid, const uint64_t args[6])
{
    uint32_t type = (uint32_t)args[0], reason = (uint32_t)args[1];

    if (fid != SYSTEM_RESET)
        return sbi_error(SBI_ERR_NOT_SUPPORTED);
    if (type > TYPE_WARM_REBOOT || reason > REASON_FAILURE)
        return sbi_error(SBI_ERR_INVALID_PARAM);        /* reserved, or a platform's or an implementation's own */
    if (type != TYPE_SHUTDOWN)
        platform_stop(STOP_RESET);
    platform_stop(reason == REASON_NONE ? STOP_PASS : STOP_FAIL);
}
