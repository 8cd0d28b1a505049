"""CLINT: software interrupts and the timer of every hart (SiFive Core-Local Interruptor).

        0x0000 + 4*hart   msip       bit 0 drives the hart's MSIP
        0x4000 + 8*hart   mtimecmp   MTIP is high while mtime >= mtimecmp
        0xbff8            mtime      ticks of the timebase

mtime is not stored: it is the running hart's clock scaled to the timebase, plus an offset that a
write to mtime moves. mtimecmp is in the hart block, where the run loop looks for the next deadline.

Sources: SiFive FU540-C000 manual chapter 9; privileged specification 3.2.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..engine.clock import attention, deadline, now, ticks
from ..engine.interrupt import set_line
from ..engine.layout import (
    H_MIP_LINES, H_MTIMECMP, H_SIZE, M_CLINT, M_EVENT, M_HART, M_HARTS, M_HART_COUNT, M_TIME_OFFSET, M_YIELD,
)
from ..engine.native import entry, inline
from ..engine.prims import ld64, lshr, st64
from ..engine.riscv import MSIP, MTIP
from .device import NativeDevice

if TYPE_CHECKING:
    from ..devicetree import Cell, Node
    from ..machine import Machine

MSIP_BASE, MTIMECMP_BASE, MTIME = 0x0000, 0x4000, 0xBFF8
SIZE = 0x10000


@inline
def merge(old: int, offset: int, size: int, value: int) -> int:
    """`old` with the `size` bytes at byte `offset` & 7 replaced by `value`."""
    if size >= 8:
        return value
    shift = 8 * (offset & 7)
    mask = ((1 << 8 * size) - 1) << shift
    return old & ~mask | value << shift & mask


@entry("i64(i64, i64, i32, i64)")
def read(uc: int, offset: int, size: int, words: int) -> int:
    """A load from the CLINT."""
    m = ld64(words)
    value = 0
    if offset < MTIMECMP_BASE:
        hart = offset >> 2
        if hart < ld64(m + M_HART_COUNT):
            value = 1 if ld64(ld64(m + M_HARTS) + hart * H_SIZE + H_MIP_LINES) & MSIP else 0
        return value >> 8 * (offset & 3)
    if offset >= MTIME:
        value = ticks(m, now(m)) if offset < MTIME + 8 else 0
    else:
        hart = (offset - MTIMECMP_BASE) >> 3
        if hart < ld64(m + M_HART_COUNT):
            value = ld64(ld64(m + M_HARTS) + hart * H_SIZE + H_MTIMECMP)
    return lshr(value, 8 * (offset & 7))


@entry("void(i64, i64, i32, i64, i64)")
def write(uc: int, offset: int, size: int, value: int, words: int) -> None:
    """A store to the CLINT."""
    m = ld64(words)
    if offset < MTIMECMP_BASE:
        hart = offset >> 2
        if offset & 3 == 0 and hart < ld64(m + M_HART_COUNT):
            target = ld64(m + M_HARTS) + hart * H_SIZE
            set_line(m, target, MSIP, value & 1)
            if target != ld64(m + M_HART) and value & 1:
                st64(m + M_YIELD, 1)
        return
    if offset >= MTIME + 8:
        return
    if offset >= MTIME:
        old = ticks(m, now(m))
        st64(m + M_TIME_OFFSET, ld64(m + M_TIME_OFFSET) + merge(old, offset, size, value) - old)
    else:
        hart = (offset - MTIMECMP_BASE) >> 3
        if hart < ld64(m + M_HART_COUNT):
            target = ld64(m + M_HARTS) + hart * H_SIZE
            compare = merge(ld64(target + H_MTIMECMP), offset, size, value)
            st64(target + H_MTIMECMP, compare)
            clock = now(m)
            set_line(m, target, MTIP, 1 if deadline(m, compare, clock) <= clock else 0)
    st64(m + M_EVENT, 1)  # deadlines changed
    attention(m)


class Clint(NativeDevice):
    """The core-local interruptor; `base` is 0x0200_0000 on the virt board."""

    name = "clint"
    native_read = read
    native_write = write

    def __init__(self, base: int = 0x0200_0000) -> None:
        super().__init__(base, SIZE, 0, 1)

    def attach(self, machine: Machine) -> None:
        super().attach(machine)
        machine.engine.set_word(M_CLINT, self.address)

    def node(self, harts: int) -> Node:
        from ..devicetree import Node, Ref, reg

        lines: list[Cell] = []
        for hart in range(harts):
            lines += [Ref(f"cpu{hart}_intc"), 3, Ref(f"cpu{hart}_intc"), 7]
        return Node(f"clint@{self.base:x}", {
            "compatible": ["sifive,clint0", "riscv,clint0"],
            "reg": reg((self.base, self.size)),
            "interrupts-extended": lines})
