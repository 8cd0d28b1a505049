/* SPDX-License-Identifier: MIT */
/*
 * Debug Console extension (chapter 12). Bytes pass unchanged in both directions. The buffer is in physical memory, which
 * M-mode can access all of, so it is for this file to keep the caller away from what S-mode could not access.
 */
#include "console.h"
#include "pmp.h"
#include "sbi.h"
#include "unpriv.h"

enum { WRITE, READ, WRITE_BYTE };

static bool buffer_valid(uint64_t size, uint64_t low, uint64_t high)
{
    return size == 0 || (high == 0 && low + size - 1 >= low && !firmware_overlaps(low, size));
}

static struct sbiret console_write(uint64_t size, uint64_t addr)
{
    struct trap_info fault = { NO_FAULT, 0 };
    uint64_t done = 0;

    console_lock();
    for (; done < size; done++) {
        uint8_t byte = (uint8_t)unpriv_load8(addr + done, csr_read(mstatus), &fault);
        if (faulted(&fault))
            break;
        console_putc(byte);
    }
    console_unlock();
    return faulted(&fault) ? sbi_error(SBI_ERR_INVALID_PARAM) : sbi_value(done);
}

static struct sbiret console_read(uint64_t size, uint64_t addr)
{
    struct trap_info fault = { NO_FAULT, 0 };
    uint64_t done = 0;

    console_lock();
    for (; done < size; done++) {
        int byte = console_getc();
        if (byte < 0)
            break;
        unpriv_store8(addr + done, (uint64_t)byte, csr_read(mstatus), &fault);
        if (faulted(&fault))
            break;
    }
    console_unlock();
    return faulted(&fault) ? sbi_error(SBI_ERR_INVALID_PARAM) : sbi_value(done);
}

struct sbiret sbi_dbcn(unsigned long fid, const uint64_t args[6])
{
    if (fid == WRITE || fid == READ) {
        if (!buffer_valid(args[0], args[1], args[2]))
            return sbi_error(SBI_ERR_INVALID_PARAM);
        return fid == WRITE ? console_write(args[0], args[1]) : console_read(args[0], args[1]);
    }
    if (fid == WRITE_BYTE) {
        console_lock();
        console_putc((uint8_t)args[0]);
        console_unlock();
        return sbi_value(0);
    }
    return sbi_error(SBI_ERR_NOT_SUPPORTED);
}
