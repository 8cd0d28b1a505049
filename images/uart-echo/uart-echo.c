/* SPDX-License-Identifier: MIT */
/*
 * Lines typed on the UART come back. The UART raises interrupt 10 of the PLIC when it has received something; the PLIC
 * raises the external interrupt of this hart's S-mode, which claims it, empties the UART and completes it.
 *
 *   PLIC  0x0c00_0000  +0x000000 + 4 * source          priority
 *                      +0x002000 + 0x80 * context      enable bits of a context (2 * hart + 1 is hart's S-mode)
 *                      +0x200000 + 0x1000 * context    threshold; +4: claim (read), complete (write)
 *   UART  0x1000_0000  +0 received byte   +1 interrupt enable: 1 = received   +5 line status: 1 = there is one
 */
#include "csr.h"
#include "print.h"
#include "trap.h"

#define PLIC 0x0c000000UL
#define UART 0x10000000UL
#define UART_IRQ 10

static volatile char received[256];     /* a ring: the handler fills it, main empties it */
static volatile unsigned head, tail;
static unsigned long context;

static volatile uint32_t *plic(unsigned long offset)
{
    return (volatile uint32_t *)(PLIC + offset);
}

static volatile uint8_t *uart(unsigned offset)
{
    return (volatile uint8_t *)(UART + offset);
}

void trap(struct trap_frame *frame, uint64_t scause, uint64_t stval)
{
    if (scause != IRQ_EXTERNAL)
        trap_unexpected(frame, scause, stval);

    volatile uint32_t *claim = plic(0x200004 + 0x1000 * context);
    uint32_t source = *claim;
    if (source != UART_IRQ) {
        if (source == 0)
            return;                     /* somebody was faster; nothing to complete */
        print("interrupt from source %u\n", source);
        trap_unexpected(frame, scause, stval);
    }
    while (*uart(5) & 1) {
        received[head % sizeof(received)] = (char)*uart(0);
        head++;
    }
    *claim = source;
}

static char next(void)
{
    wait_until(head != tail);
    char c = received[tail % sizeof(received)];
    tail++;
    return c;
}

/* A line without its end, which may be CR (a terminal), LF (a file) or both. */
static void read_line(char *line, unsigned size)
{
    unsigned used = 0;

    for (;;) {
        char c = next();
        if (c == '\n' || c == '\r') {
            if (used)
                break;
        } else if (used < size - 1) {
            line[used++] = c;
        }
    }
    line[used] = '\0';
}

static bool equal(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

int main(unsigned long hart)
{
    char line[80];
    unsigned lines = 0;

    context = 2 * hart + 1;
    trap_install();
    *plic(4 * UART_IRQ) = 1;
    *plic(0x2000 + 0x80 * context) = 1u << UART_IRQ;
    *plic(0x200000 + 0x1000 * context) = 0;
    *uart(1) = 1;
    csr_set(sie, SIP_SEIP);

    print("Type a line, and it comes back. \"quit\" ends this.\n");
    for (;;) {
        read_line(line, sizeof(line));
        if (equal(line, "quit"))
            break;
        lines++;
        print("%u: %s\n", lines, line);
    }
    print("Goodbye after %u lines.\n", lines);
    return 0;
}
