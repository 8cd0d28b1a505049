/* SPDX-License-Identifier: MIT */
/*
 * A 16550 UART, polled.
 *
 *   0  RBR/THR  data          3  LCR  0x80: divisor latch, 0x03: 8 bits, no parity, 1 stop
 *   1  IER      interrupts    4  MCR  0x03: DTR, RTS
 *                             5  LSR  0x01: data ready, 0x20: transmitter empty
 *
 * Registers are 1 << reg_shift bytes apart. The divisor is left as it was found, for whoever came before us knew the clock;
 * so are the FIFOs, because switching them on empties them, and what was typed early would be lost.
 */
#include "console.h"
#include "lock.h"
#include "platform.h"

enum { RBR = 0, THR = 0, IER = 1, LCR = 3, MCR = 4, LSR = 5 };
#define LSR_DATA_READY 0x01
#define LSR_THR_EMPTY 0x20

static struct lock lock;

static volatile uint8_t *reg(unsigned index)
{
    return (volatile uint8_t *)(platform.uart + ((uint64_t)index << platform.uart_reg_shift));
}

bool console_present(void)
{
    return platform.uart != 0;
}

void console_init(void)
{
    if (!console_present())
        return;
    *reg(IER) = 0x00;
    *reg(LCR) = 0x03;
    *reg(MCR) = 0x03;
}

void console_putc(uint8_t c)
{
    if (!console_present())
        return;
    while (!(*reg(LSR) & LSR_THR_EMPTY))
        ;
    *reg(THR) = c;
}

int console_getc(void)
{
    if (!console_present() || !(*reg(LSR) & LSR_DATA_READY))
        return -1;
    return *reg(RBR);
}

void console_lock(void)
{
    lock_take(&lock);
}

void console_unlock(void)
{
    lock_release(&lock);
}

void console_break_lock(void)
{
    lock_release(&lock);
}
