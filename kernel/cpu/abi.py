"""What the kernel's text and Python have agreed on: host calls, commands, the trap frame.

        31      25 24                7 6      0
        │  number  │        0         │ 0001011 │      a host call: opcode custom-0, its number in funct7

The text's side of each table is in kernel/text/kernel.S, in the same order.
"""

from __future__ import annotations

import struct
from enum import IntEnum

from kernel.mm.fields import Struct, u64

CUSTOM_0 = 0x0B
NUMBER_SHIFT = 25


class HostCallNumber(IntEnum):
    """Why the kernel's text calls Python."""

    ENTRY = 0
    """It was entered, the MMU is off: a0 = hart id, a1 = device tree; wants satp's MODE in a0, 0 for the best."""
    SERVICE = 1
    """It has done the last command: a0, a1 = results; wants the next one."""
    TRAP = 2
    """It was interrupted: a0 = the trap frame's address; wants a command, in the end RETURN."""

    @property
    def instruction(self) -> int:
        """The instruction that makes this host call."""
        return self << NUMBER_SHIFT | CUSTOM_0


class Command(IntEnum):
    """What a CPU can be told to do. Arguments are in a0, a1, …; the results are (a0, a1).

    Probes give (0, value) if they succeed and (scause, stval) if they fault; no probe's scause is 0.
    """

    NOP = 0
    ACTIVATE = 1
    """(satp) -> satp as it is then. Writes satp, then flushes the whole TLB."""
    SFENCE_ALL = 2
    """sfence.vma of everything."""
    SFENCE_ASID = 3
    """(asid): sfence.vma of all that is not global."""
    SFENCE_PAGE = 4
    """(va)"""
    SFENCE_RANGE = 5
    """(va, pages)"""
    LOAD = 6
    """(va, size 1, 2, 4 or 8, whether as user data: with sstatus.SUM) -> probe"""
    STORE = 7
    """(va, size, value, whether as user data) -> probe"""
    FETCH = 8
    """(va) -> probe: calls va; the value is what the function there returns."""
    CALL = 9
    """(a0 … a7; t1 = va) -> what the function at va returns."""
    ECALL = 10
    """(a0 … a5, function, extension) -> (SBI error, value)"""
    IDLE = 11
    """(hart mask) -> (SBI error, pending interrupts). Sends those harts an IPI, then waits for an enabled interrupt."""
    HOLD = 12
    """(va, hart mask). Sends those harts an IPI, then waits until the word at va is not 0."""
    ENABLE_INTERRUPTS = 13
    """(sie) -> sie as it was. Interrupts are taken in U-mode only, and end IDLE."""
    RETURN = 14
    """(trap frame): goes on where the frame says, in U-mode or in the kernel; the next SERVICE may be far away."""
    FP_SAVE = 15
    """(va): f0 … f31 and fcsr to 33 words at va."""
    FP_RESTORE = 16
    """(va): the same back."""


class TrapFrame(Struct):
    """A trapped CPU's state, on its kernel stack.

    `kernel_sp` is the stack pointer that the next trap from U-mode starts with; x1 … x31 by their ABI
    names; then the CSRs, as the trap left them.
    """

    kernel_sp = u64()
    ra = u64()
    sp = u64()
    gp = u64()
    tp = u64()
    t0 = u64()
    t1 = u64()
    t2 = u64()
    s0 = u64()
    s1 = u64()
    a0 = u64()
    a1 = u64()
    a2 = u64()
    a3 = u64()
    a4 = u64()
    a5 = u64()
    a6 = u64()
    a7 = u64()
    s2 = u64()
    s3 = u64()
    s4 = u64()
    s5 = u64()
    s6 = u64()
    s7 = u64()
    s8 = u64()
    s9 = u64()
    s10 = u64()
    s11 = u64()
    t3 = u64()
    t4 = u64()
    t5 = u64()
    t6 = u64()
    sepc = u64()
    sstatus = u64()
    scause = u64()
    stval = u64()

    def arguments(self) -> tuple[int, ...]:
        """a0 … a7: the arguments of a system call, and its number."""
        return _EIGHT_WORDS.unpack(self.memory.read(self.address + TrapFrame.a0.offset, _EIGHT_WORDS.size))

    @property
    def from_user(self) -> bool:
        """Whether U-mode was interrupted (and will be returned to)."""
        return not self.sstatus & SSTATUS_SPP

    @property
    def is_interrupt(self) -> bool:
        """Whether it was an interrupt, not an exception."""
        return self.scause >> 63 != 0

    @property
    def code(self) -> int:
        """The number of the interrupt or exception."""
        return self.scause & ~(1 << 63)


_EIGHT_WORDS = struct.Struct("<8Q")
SSTATUS_SIE = 1 << 1
SSTATUS_SPIE = 1 << 5
SSTATUS_SPP = 1 << 8
SSTATUS_SUM = 1 << 18
SSI = 1 << 1
"""The software interrupt's bit in sie and sip."""
STI = 1 << 5
"""The timer interrupt's bit."""
SEI = 1 << 9
"""The external interrupt's bit."""
