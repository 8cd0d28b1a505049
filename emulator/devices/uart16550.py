"""UART 16550A: the console.

        0  RBR (read) THR (write), with DLAB: divisor low     4  MCR  modem control, bit 4 loopback
        1  IER  interrupt enable,  with DLAB: divisor high    5  LSR  line status
        2  IIR (read) FCR (write)                             6  MSR  modem status
        3  LCR  line control, bit 7 DLAB                      7  SCR  scratch

Both directions are instant. Output goes into a ring that the machine drains (`take_output`); the
run loop stops when it is nearly full, or after every byte while someone watches for a pattern.
Input waits in another ring, as large as it has to be: what the host feeds is "on the line" until the
guest reads it, so that a FIFO reset by a driver that starts up loses nothing.

Source: National Semiconductor PC16550D data sheet, section 8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine.clock import request_stop
from ..engine.layout import M_PLIC, STOP_CONSOLE, Words
from ..engine.native import entry, inline
from ..engine.prims import ld8, ld64, st8, st64
from ..engine.tracing import trace_output
from .device import NativeDevice
from .plic import set_irq

if TYPE_CHECKING:
    from ..devicetree import Node
    from ..machine import Machine

RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR = range(8)
DLAB, LOOPBACK = 0x80, 0x10
IER_RDI, IER_THRI = 1, 2
IIR_NONE, IIR_THRI, IIR_RDI, IIR_FIFO = 0x01, 0x02, 0x04, 0xC0
LSR_DR, LSR_THRE, LSR_TEMT = 0x01, 0x20, 0x40
MSR_IDLE = 0xB0  # DCD, DSR and CTS asserted
RING = 1 << 16
SIZE = 0x100
CLOCK_HZ = 3_686_400
"""The divisor's input clock, as on QEMU's virt; the speed itself has no effect."""

_u = Words(8)
U_IRQ = _u.take()
U_IER = _u.take()
U_LCR = _u.take()
U_MCR = _u.take()
U_SCR = _u.take()
U_FCR = _u.take()
U_DIVISOR = _u.take()
U_THR_EMPTY = _u.take()  # 1: a THR interrupt is due
U_LOOPED = _u.take()  # byte + 1 sent to ourselves in loopback, 0 for none
U_OUT = _u.take()  # host address of the output ring,
U_OUT_COUNT = _u.take()  # bytes in it
U_IN = _u.take()  # host address of the input ring,
U_IN_MASK = _u.take()  # its size - 1,
U_IN_HEAD = _u.take()  # bytes ever fed,
U_IN_TAIL = _u.take()  # bytes ever read
U_WATCHED = _u.take()  # 1: stop after every byte sent


@inline
def data_ready(u: int) -> bool:
    """Whether a received byte waits."""
    if ld64(u + U_MCR) & LOOPBACK:
        return ld64(u + U_LOOPED) != 0
    return ld64(u + U_IN_HEAD) != ld64(u + U_IN_TAIL)


@inline
def cause(u: int) -> int:
    """The interrupt with the highest priority, as IIR shows it."""
    enabled = ld64(u + U_IER)
    if enabled & IER_RDI and data_ready(u):
        return IIR_RDI
    if enabled & IER_THRI and ld64(u + U_THR_EMPTY):
        return IIR_THRI
    return IIR_NONE


@inline
def drive(u: int) -> None:
    """Drive the interrupt line."""
    set_irq(ld64(ld64(u) + M_PLIC), ld64(u + U_IRQ), 0 if cause(u) == IIR_NONE else 1)


@inline
def receive(u: int) -> int:
    """RBR: take the next byte, 0 if there is none."""
    value = 0
    if not data_ready(u):
        return 0
    if ld64(u + U_MCR) & LOOPBACK:
        value = ld64(u + U_LOOPED) - 1
        st64(u + U_LOOPED, 0)
    else:
        tail = ld64(u + U_IN_TAIL)
        value = ld8(ld64(u + U_IN) + (tail & ld64(u + U_IN_MASK)))
        st64(u + U_IN_TAIL, tail + 1)
    drive(u)
    return value


@inline
def send(u: int, value: int) -> None:
    """THR: the byte leaves at once, and THR is empty again."""
    if ld64(u + U_MCR) & LOOPBACK:
        st64(u + U_LOOPED, (value & 0xFF) + 1)
    else:
        trace_output(ld64(u), value)
        count = ld64(u + U_OUT_COUNT)
        if count < RING:
            st8(ld64(u + U_OUT) + count, value)
            st64(u + U_OUT_COUNT, count + 1)
        if ld64(u + U_WATCHED) or count > RING - 1024:  # a block has fewer than 1024 stores
            request_stop(ld64(u), STOP_CONSOLE, 0)
    st64(u + U_THR_EMPTY, 1)
    drive(u)


@inline
def modem_status(u: int) -> int:
    """MSR; in loopback the modem control outputs come back as inputs."""
    control = ld64(u + U_MCR)
    if not control & LOOPBACK:
        return MSR_IDLE
    return (control & 0x0C) << 4 | (control & 0x02) << 3 | (control & 0x01) << 5


@entry("i64(i64, i64, i32, i64)")
def read(uc: int, offset: int, size: int, u: int) -> int:
    """A load from the UART."""
    divisor = ld64(u + U_LCR) & DLAB
    if offset == RBR:
        return ld64(u + U_DIVISOR) & 0xFF if divisor else receive(u)
    if offset == IER:
        return ld64(u + U_DIVISOR) >> 8 & 0xFF if divisor else ld64(u + U_IER)
    if offset == IIR:
        value = cause(u)
        if value == IIR_THRI:
            st64(u + U_THR_EMPTY, 0)
            drive(u)
        return value | IIR_FIFO if ld64(u + U_FCR) & 1 else value
    if offset == LCR:
        return ld64(u + U_LCR)
    if offset == MCR:
        return ld64(u + U_MCR)
    if offset == LSR:
        return LSR_THRE | LSR_TEMT | (LSR_DR if data_ready(u) else 0)
    if offset == MSR:
        return modem_status(u)
    return ld64(u + U_SCR) if offset == SCR else 0


@entry("void(i64, i64, i32, i64, i64)")
def write(uc: int, offset: int, size: int, value: int, u: int) -> None:
    """A store to the UART."""
    value &= 0xFF
    divisor = ld64(u + U_LCR) & DLAB
    if offset == RBR and divisor:
        st64(u + U_DIVISOR, ld64(u + U_DIVISOR) & 0xFF00 | value)
    elif offset == RBR:
        send(u, value)
    elif offset == IER and divisor:
        st64(u + U_DIVISOR, ld64(u + U_DIVISOR) & 0xFF | value << 8)
    elif offset == IER:
        if value & IER_THRI and not ld64(u + U_IER) & IER_THRI:
            st64(u + U_THR_EMPTY, 1)
        st64(u + U_IER, value & 0x0F)
        drive(u)
    elif offset == IIR:
        st64(u + U_FCR, value & 0xC9)
    elif offset == LCR:
        st64(u + U_LCR, value)
    elif offset == MCR:
        st64(u + U_MCR, value & 0x1F)
        drive(u)
    elif offset == SCR:
        st64(u + U_SCR, value)


_REGISTERS = {"ier": U_IER, "lcr": U_LCR, "mcr": U_MCR, "scr": U_SCR, "fcr": U_FCR, "divisor": U_DIVISOR,
              "thr_empty": U_THR_EMPTY, "looped": U_LOOPED}


class Uart16550(NativeDevice):
    """The console UART; at 0x1000_0000 with PLIC source 10 on the virt board."""

    name = "uart"
    native_read = read
    native_write = write

    def __init__(self, base: int = 0x1000_0000, irq: int = 10) -> None:
        super().__init__(base, SIZE, irq, _u.size // 8)
        self._out = np.zeros(RING, dtype=np.uint8)
        self._in = np.zeros(RING, dtype=np.uint8)

    def attach(self, machine: Machine) -> None:
        super().attach(machine)
        self._set(U_IRQ, self.irq)
        self._set(U_OUT, int(self._out.ctypes.data))
        self._set(U_IN, int(self._in.ctypes.data))
        self._set(U_IN_MASK, RING - 1)
        self.reset()

    def reset(self) -> None:
        for field in (U_IER, U_LCR, U_SCR, U_FCR, U_THR_EMPTY, U_LOOPED):
            self._set(field, 0)
        self._set(U_MCR, 0x08)
        self._set(U_DIVISOR, 12)
        drive(self.address)

    def feed(self, data: bytes) -> None:
        """Put `data` on the input line, behind what already waits."""
        self._queue(data)
        drive(self.address)

    def _queue(self, data: bytes) -> None:
        head, tail = self._get(U_IN_HEAD), self._get(U_IN_TAIL)
        if head - tail + len(data) > len(self._in):
            self._grow(head - tail + len(data))
            head, tail = self._get(U_IN_HEAD), self._get(U_IN_TAIL)
        positions = (head + np.arange(len(data))) & self._get(U_IN_MASK)
        self._in[positions] = np.frombuffer(data, dtype=np.uint8)
        self._set(U_IN_HEAD, head + len(data))

    def _grow(self, size: int) -> None:
        """Move the input that waits into a ring for `size` bytes."""
        head, tail = self._get(U_IN_HEAD), self._get(U_IN_TAIL)
        waiting = self._in[(tail + np.arange(head - tail)) & self._get(U_IN_MASK)]
        self._in = np.zeros(1 << size.bit_length(), dtype=np.uint8)
        self._in[:len(waiting)] = waiting
        self._set(U_IN, int(self._in.ctypes.data))
        self._set(U_IN_MASK, len(self._in) - 1)
        self._set(U_IN_TAIL, 0)
        self._set(U_IN_HEAD, len(waiting))

    def write(self, offset: int, size: int, value: int) -> None:
        super().write(offset, size, value)
        if self.machine is not None and self._get(U_OUT_COUNT) > RING // 2:
            self.machine.drain_console()  # written by the host: no run loop is there to do it

    @property
    def input_left(self) -> int:
        """Bytes fed and not yet read by the guest."""
        return self._get(U_IN_HEAD) - self._get(U_IN_TAIL)

    def take_output(self) -> bytes:
        """What the guest has sent since the last call."""
        count = int(self.words[U_OUT_COUNT >> 3])
        if count == 0:
            return b""
        self._set(U_OUT_COUNT, 0)
        return self._out[:count].tobytes()

    def watch(self, on: bool) -> None:
        """Stop the machine after every byte sent, so that input can depend on it exactly."""
        self._set(U_WATCHED, int(on))

    def state(self) -> dict[str, Any]:
        """The registers, and the input that waits; output is the machine's from the moment that it is sent."""
        waiting = self._in[(self._get(U_IN_TAIL) + np.arange(self.input_left)) & self._get(U_IN_MASK)]
        return {**{name: self._get(field) for name, field in _REGISTERS.items()}, "input": waiting.tobytes()}

    def restore(self, state: dict[str, Any]) -> None:
        for name, field in _REGISTERS.items():
            self._set(field, state[name])
        self._set(U_OUT_COUNT, 0)
        self._set(U_IN_TAIL, self._get(U_IN_HEAD))
        self._queue(state["input"])

    def node(self, harts: int) -> Node:
        from ..devicetree import Node, Ref, reg

        return Node(f"serial@{self.base:x}", {
            "compatible": "ns16550a", "reg": reg((self.base, self.size)), "clock-frequency": CLOCK_HZ,
            "interrupts": self.irq, "interrupt-parent": Ref("plic")}, label="uart0")

    def _get(self, field: int) -> int:
        return int(self.words[field >> 3])

    def _set(self, field: int, value: int) -> None:
        self.words[field >> 3] = value
