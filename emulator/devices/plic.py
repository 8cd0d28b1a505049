"""PLIC: collects the devices' interrupt lines and offers them to the harts, by priority.

        0x000000 + 4*source          priority, 0 (never) … 7
        0x001000 + 4*(source/32)     pending bits, read only
        0x002000 + 0x80*context      enable bits
        0x200000 + 0x1000*context    threshold: only higher priorities interrupt
        0x200004 + 0x1000*context    claim (read) and complete (write)

Context 2h is M-mode on hart h (its MEIP), context 2h+1 S-mode (SEIP). A source's gateway forwards
one request while its line is high, and no other before the first is completed.

Source: RISC-V Platform-Level Interrupt Controller Specification 1.0.0; sizes as on QEMU's virt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..engine.interrupt import set_line
from ..engine.layout import H_SIZE, M_HART_COUNT, M_HARTS, M_PLIC, MAX_HARTS, Words
from ..engine.native import entry, inline
from ..engine.prims import ctz, ld64, st64
from ..engine.riscv import MEIP, SEIP
from ..errors import BusError
from .device import NativeDevice

if TYPE_CHECKING:
    from ..devicetree import Cell, Node
    from ..machine import Machine

SOURCES = 96
CONTEXTS = 2 * MAX_HARTS
PENDING, ENABLE, CONTEXT = 0x1000, 0x2000, 0x200000
SIZE = 0x600000
MAX_PRIORITY = 7

_p = Words(8)
GROUPS = SOURCES // 32
P_LINE = _p.take(GROUPS)  # bit sets over sources, 32 to a word: line high,
P_PENDING = _p.take(GROUPS)  # request forwarded and not claimed,
P_SERVICE = _p.take(GROUPS)  # claimed and not completed
P_PRIORITY = _p.take(SOURCES)
P_ENABLE = _p.take(GROUPS * CONTEXTS)
P_THRESHOLD = _p.take(CONTEXTS)


@inline
def test(p: int, field: int, source: int) -> int:
    """Bit `source` of bit set `field`."""
    return (ld64(p + field + 8 * (source >> 5)) >> (source & 31)) & 1


@inline
def put(p: int, field: int, source: int, bit: int) -> None:
    """Set bit `source` of bit set `field` to `bit`."""
    at = p + field + 8 * (source >> 5)
    mask = 1 << (source & 31)
    st64(at, ld64(at) | mask if bit else ld64(at) & ~mask)


@inline
def enables(context: int) -> int:
    """The bit set of sources enabled for `context`."""
    return P_ENABLE + 8 * GROUPS * context


@inline
def best(p: int, context: int) -> int:
    """The pending, enabled source that `context` would claim (highest priority, lowest number); 0 for none."""
    found = 0
    highest = 0
    for group in range(GROUPS):
        bits = ld64(p + P_PENDING + 8 * group) & ld64(p + enables(context) + 8 * group)
        while bits != 0:
            source = ctz(bits) + 32 * group
            bits &= bits - 1
            priority = ld64(p + P_PRIORITY + 8 * source)
            if priority > highest:
                found = source
                highest = priority
    return found


@inline
def update(p: int) -> None:
    """Drive every hart's MEIP and SEIP."""
    m = ld64(p)
    for hart in range(ld64(m + M_HART_COUNT)):
        h = ld64(m + M_HARTS) + hart * H_SIZE
        for side in range(2):
            context = 2 * hart + side
            source = best(p, context)
            level = 0
            if source and ld64(p + P_PRIORITY + 8 * source) > ld64(p + P_THRESHOLD + 8 * context):
                level = 1
            set_line(m, h, SEIP if side else MEIP, level)


@inline
def forward(p: int, source: int) -> None:
    """The gateway: a high line with no request under way becomes pending."""
    if test(p, P_LINE, source) and not test(p, P_SERVICE, source):
        put(p, P_PENDING, source, 1)


@inline
def set_irq(p: int, source: int, level: int) -> None:
    """A device drives its line; `source` 0 is no line."""
    if p == 0 or source <= 0 or source >= SOURCES or test(p, P_LINE, source) == level:
        return
    put(p, P_LINE, source, level)
    forward(p, source)
    update(p)


@inline
def claim(p: int, context: int) -> int:
    """Claim the best source of `context`; 0 if there is none."""
    source = best(p, context)
    if source:
        put(p, P_PENDING, source, 0)
        put(p, P_SERVICE, source, 1)
        update(p)
    return source


@entry("i64(i64, i64, i32, i64)")
def read(uc: int, offset: int, size: int, p: int) -> int:
    """A load from the PLIC; only aligned words mean anything."""
    if offset < PENDING:
        source = offset >> 2
        return ld64(p + P_PRIORITY + 8 * source) if source < SOURCES else 0
    if offset < ENABLE:
        word = (offset - PENDING) >> 2
        return ld64(p + P_PENDING + 8 * word) if word < GROUPS else 0
    if offset < CONTEXT:
        context = (offset - ENABLE) >> 7
        word = ((offset - ENABLE) & 0x7F) >> 2
        return ld64(p + enables(context) + 8 * word) if context < CONTEXTS and word < GROUPS else 0
    context = (offset - CONTEXT) >> 12
    register = (offset - CONTEXT) & 0xFFF
    if context >= CONTEXTS:
        return 0
    if register == 0:
        return ld64(p + P_THRESHOLD + 8 * context)
    return claim(p, context) if register == 4 else 0


@entry("void(i64, i64, i32, i64, i64)")
def write(uc: int, offset: int, size: int, value: int, p: int) -> None:
    """A store to the PLIC."""
    if offset < PENDING:
        source = offset >> 2
        if 0 < source < SOURCES:
            st64(p + P_PRIORITY + 8 * source, value & MAX_PRIORITY)
    elif offset < ENABLE:
        return
    elif offset < CONTEXT:
        context = (offset - ENABLE) >> 7
        word = ((offset - ENABLE) & 0x7F) >> 2
        if context >= CONTEXTS or word >= GROUPS:
            return
        if word == 0:
            value &= ~1  # source 0 does not exist
        st64(p + enables(context) + 8 * word, value & 0xFFFFFFFF)
    else:
        context = (offset - CONTEXT) >> 12
        register = (offset - CONTEXT) & 0xFFF
        if context >= CONTEXTS:
            return
        if register == 0:
            st64(p + P_THRESHOLD + 8 * context, value & MAX_PRIORITY)
        elif register == 4 and 0 < value < SOURCES and test(p, enables(context), value):
            put(p, P_SERVICE, value, 0)
            forward(p, value)
    update(p)


class Plic(NativeDevice):
    """The platform-level interrupt controller; `base` is 0x0c00_0000 on the virt board."""

    name = "plic"
    native_read = read
    native_write = write

    def __init__(self, base: int = 0x0C00_0000) -> None:
        super().__init__(base, SIZE, 0, _p.size // 8)

    def attach(self, machine: Machine) -> None:
        super().attach(machine)
        machine.engine.set_word(M_PLIC, self.address)

    def set_irq(self, source: int, level: bool) -> None:
        """Drive line `source`; BusError if it is not 1 … 95."""
        if not 0 < source < SOURCES:
            raise BusError(f"the PLIC has no source {source}: expected 1 to {SOURCES - 1}")
        set_irq(self.address, source, int(level))

    def node(self, harts: int) -> Node:
        from ..devicetree import Node, Ref, reg

        lines: list[Cell] = []
        for hart in range(harts):
            lines += [Ref(f"cpu{hart}_intc"), 11, Ref(f"cpu{hart}_intc"), 9]
        return Node(f"plic@{self.base:x}", {
            "compatible": ["sifive,plic-1.0.0", "riscv,plic0"],
            "reg": reg((self.base, self.size)),
            "#address-cells": 0, "#interrupt-cells": 1, "interrupt-controller": True,
            "interrupts-extended": lines, "riscv,ndev": SOURCES}, label="plic")
