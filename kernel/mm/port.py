"""The memory port: the one door through which the kernel layer touches emulated memory.

    port = MemoryPort(machine.bus)
    port.store(0x8040_0000, 42)
    with port.observed(Counter()):       # something with access(kind, address, size, value)
        port.load(0x8040_0000)

Addresses are physical. Unobserved, an access is one index into a view of the machine's RAM; observed,
every access is first told to each observer, in order, which may count it, record it, let another task
run, or raise to make it fail (nothing is then done). An atomic operation is one access: nothing comes
between its load and its store.

A *meter* is told last, and only of what will happen: it charges the access to a CPU (kernel.cost). What
is read in order to show it, and not for the kernel's own work, is read in `port.looking()`, and free.

Words are little-endian and unsigned. Word addresses must be aligned to their size: the port, as a
memory bus, has no lines for the bits below.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from emulator import Bus, BusError
from kernel.errors import KernelClosed

if TYPE_CHECKING:
    from .context import Mm

P = ParamSpec("P")
R = TypeVar("R")
MASK64 = (1 << 64) - 1


class Access(Enum):
    """What an access does."""

    LOAD = "load"
    STORE = "store"
    ATOMIC = "atomic"

    def __repr__(self) -> str:
        return self.value


class Observer(Protocol):
    """Is told of every access before it happens."""

    def access(self, kind: Access, address: int, size: int, value: int | None) -> None:
        """`size` bytes at `address`; `value` is the word to be stored (None for loads and bulk stores).

        A compare-and-swap tells the new value. An exception keeps the access from happening.
        """


class Meter(Protocol):
    """Is told of every access that no observer has refused, in front of memory that is there."""

    def access(self, kind: Access, address: int, size: int, stride: int) -> None:
        """Of the `size` bytes at `address`, a word in every `stride` bytes is accessed (8: all of them)."""


class MemoryPort:
    """Loads, stores, atomics and bulk operations on the physical memory behind `bus`.

    Every method raises emulator.BusError for an address where there is no RAM.
    """

    __slots__ = ("_array", "_banks", "_bus", "_closed", "_high", "_looking", "_low", "_meter", "_observers", "_sized",
                 "_watched", "_words", "waiter")

    def __init__(self, bus: Bus) -> None:
        self._bus, self._closed = bus, False
        self.waiter: Callable[[], None] | None = None
        """Lets somebody else run while the caller waits for a lock; None where nobody else can (kernel.sync)."""
        self._observers: list[Observer] = []
        self._meter: Meter | None = None
        self._looking = 0
        self._watched = False  # whether there is anybody to be told of an access
        self._banks: list[tuple[int, int, memoryview]] = []
        low, high = 0, 0
        for bank in sorted(bus.ram.banks, key=lambda bank: bank.base):
            if bank.base != high:
                low = bank.base
            elif self._banks:
                self._banks.pop()  # banks that touch are one
            high = bank.base + bank.size
            raw = memoryview(bus.memory(low, high - low)).cast("B")  # type: ignore[arg-type]
            self._banks.append((low, high, raw))
        if not self._banks:
            raise BusError("a machine without memory has no memory port")
        # The bank used last has its word views at hand; with one bank, that is all there is.
        self._low = self._high = 0
        self._words: memoryview = memoryview(b"")
        self._array = np.zeros(0, dtype=np.uint64)  # the same words, for columns
        self._sized: dict[int, memoryview] = {}
        self._select(self._banks[0][0], 1)

    def close(self) -> None:
        """Refuse every access from now on, with KernelClosed: the memory belongs to somebody else."""
        self._closed = True
        self._banks = []
        self._low = self._high = 0

    # --- observers --------------------------------------------------------------------------------------

    def attach(self, observer: Observer) -> None:
        """Tell `observer` of every access from now on, after those attached before."""
        self._observers.append(observer)
        self._watched = True

    def detach(self, observer: Observer) -> None:
        """Tell `observer` no more; nothing if it was not attached."""
        self._observers = [other for other in self._observers if other is not observer]
        self._watch()

    @contextmanager
    def observed(self, observer: Observer) -> Iterator[None]:
        """`attach` for the length of a `with` block."""
        self.attach(observer)
        try:
            yield
        finally:
            self.detach(observer)

    @property
    def meter(self) -> Meter | None:
        """Who charges accesses, behind all observers."""
        return self._meter

    @meter.setter
    def meter(self, meter: Meter | None) -> None:
        self._meter = meter
        self._watch()

    @contextmanager
    def looking(self) -> Iterator[None]:
        """No access is charged for the length of a `with` block; observers are told as ever."""
        self._looking += 1
        self._watch()
        try:
            yield
        finally:
            self._looking -= 1
            self._watch()

    def _watch(self) -> None:
        self._watched = bool(self._observers) or (self._meter is not None and not self._looking)

    def _tell(self, kind: Access, address: int, size: int, value: int | None, stride: int = 8) -> None:
        for observer in self._observers:
            observer.access(kind, address, size, value)
        if self._meter is not None:
            self._charge(kind, address, size, stride)

    def _charge(self, kind: Access, address: int, size: int, stride: int = 8) -> None:
        if self._meter is None or self._looking:
            return
        if not (self._low <= address and address + size <= self._high):
            self._select(address, size)
        if (tracer := sys.gettrace()) is None:
            self._meter.access(kind, address, size, stride)
            return
        sys.settrace(None)  # a watchdog counts the lines of its allocator, not ours
        try:
            self._meter.access(kind, address, size, stride)
        finally:
            sys.settrace(tracer)

    # --- words ----------------------------------------------------------------------------------------------

    def load(self, address: int) -> int:
        """The 64-bit word at `address`."""
        if self._watched:
            self._tell(Access.LOAD, address, 8, None)
        if not self._low <= address < self._high:
            self._select(address, 8)
        value: int = self._words[(address - self._low) >> 3]
        return value

    def store(self, address: int, value: int) -> None:
        """Set the 64-bit word at `address` to `value`, 0 … 2^64-1."""
        if self._watched:
            self._tell(Access.STORE, address, 8, value)
        if not self._low <= address < self._high:
            self._select(address, 8)
        self._words[(address - self._low) >> 3] = value

    def load_sized(self, address: int, size: int) -> int:
        """The word of `size` bytes, 1, 2, 4 or 8, at `address`."""
        if self._watched:
            self._tell(Access.LOAD, address, size, None)
        if not self._low <= address < self._high:
            self._select(address, size)
        value: int = self._sized[size][(address - self._low) // size]
        return value

    def store_sized(self, address: int, size: int, value: int) -> None:
        """Set the word of `size` bytes, 1, 2, 4 or 8, at `address` to the low bits of `value`."""
        if self._watched:
            self._tell(Access.STORE, address, size, value)
        if not self._low <= address < self._high:
            self._select(address, size)
        self._sized[size][(address - self._low) // size] = value & ((1 << 8 * size) - 1)

    # --- atomics --------------------------------------------------------------------------------------------

    def compare_exchange(self, address: int, old: int, new: int, size: int = 8) -> int:
        """Set the word to `new` if it is `old`; what it was (success means that this is `old`)."""
        if self._watched:
            self._tell(Access.ATOMIC, address, size, new)
        if not self._low <= address < self._high:
            self._select(address, size)
        words = self._sized[size]
        index = (address - self._low) // size
        was: int = words[index]
        if was == old:
            words[index] = new
        return was

    def fetch_add(self, address: int, delta: int) -> int:
        """Add `delta`, which may be negative, to the 64-bit word, modulo 2^64; what it was."""
        if self._watched:
            self._tell(Access.ATOMIC, address, 8, None)
        if not self._low <= address < self._high:
            self._select(address, 8)
        index = (address - self._low) >> 3
        was: int = self._words[index]
        self._words[index] = (was + delta) & MASK64
        return was

    def swap(self, address: int, value: int) -> int:
        """Set the 64-bit word; what it was."""
        if self._watched:
            self._tell(Access.ATOMIC, address, 8, value)
        if not self._low <= address < self._high:
            self._select(address, 8)
        index = (address - self._low) >> 3
        was: int = self._words[index]
        self._words[index] = value
        return was

    # --- bulk -------------------------------------------------------------------------------------------------

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes at `address`."""
        if size <= 0:
            return b""
        if self._watched:
            self._tell(Access.LOAD, address, size, None)
        start = self._range(address, size)
        return bytes(self._sized[1][start:start + size])

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Store `data` at `address`."""
        size = len(data)
        if not size:
            return
        if self._watched:
            self._tell(Access.STORE, address, size, None)
        start = self._range(address, size)
        self._sized[1][start:start + size] = data
        self._bus.written(address, size)

    def fill(self, address: int, size: int, byte: int = 0) -> None:
        """Set `size` bytes at `address` to `byte`."""
        if size <= 0:
            return
        if self._watched:
            self._tell(Access.STORE, address, size, None)
        start = self._range(address, size)
        if size == 4096 and byte == 0:
            self._sized[1][start:start + 4096] = _ZERO_PAGE
        else:
            self._bus.memory(address, size)[:] = byte
        self._bus.written(address, size)

    def copy(self, target: int, source: int, size: int) -> None:
        """Copy `size` bytes from `source` to `target`; they may overlap."""
        if size <= 0:
            return
        if self._watched:
            for kind, address in (Access.LOAD, source), (Access.STORE, target):
                for observer in self._observers:
                    observer.access(kind, address, size, None)
            self._charge(Access.LOAD, source, size)  # only now: an observer that refuses one half refuses both
            self._charge(Access.STORE, target, size)
        self._range(source, size)
        self._range(target, size)
        self._bus.memory(target, size)[:] = self._bus.memory(source, size)
        self._bus.written(target, size)

    def load_column(self, address: int, count: int, stride: int = 8) -> npt.NDArray[np.uint64]:
        """`count` 64-bit words, `stride` bytes apart (a multiple of 8), as a new array."""
        return self._column(Access.LOAD, address, count, stride).copy()

    def store_column(self, address: int, values: npt.NDArray[np.uint64] | int, count: int, stride: int = 8) -> None:
        """Set `count` 64-bit words, `stride` bytes apart, to `values`: one word each, or all the same."""
        self._column(Access.STORE, address, count, stride)[:] = values

    def _column(self, kind: Access, address: int, count: int, stride: int) -> npt.NDArray[np.uint64]:
        if count <= 0:
            return np.zeros(0, dtype=np.uint64)
        span = (count - 1) * stride + 8
        if self._watched:
            self._tell(kind, address, span, None, stride)
        first = self._range(address, span) >> 3
        return self._array[first:first + (span >> 3):stride >> 3]

    # --- where things are -------------------------------------------------------------------------------------

    def has(self, address: int, size: int = 1) -> bool:
        """Whether all of `size` bytes at `address` are RAM, in one bank."""
        if self._low <= address and address + size <= self._high:
            return True
        return any(low <= address and address + size <= high for low, high, _ in self._banks)

    def touches(self, address: int, size: int = 1) -> bool:
        """Whether any of `size` bytes at `address` is RAM."""
        return any(low < address + size and address < high for low, high, _ in self._banks)

    def _range(self, address: int, size: int) -> int:
        """Offset of a bulk access in the selected bank."""
        if not (self._low <= address and address + size <= self._high):
            self._select(address, size)
        return address - self._low

    def _select(self, address: int, size: int) -> None:
        """Make the bank of `size` bytes at `address` the one at hand."""
        if self._closed:
            raise KernelClosed("the kernel has ended, or its machine was reset or restored: there is nothing behind "
                               "this handle")
        for low, high, raw in self._banks:
            if low <= address and address + size <= high:
                self._low, self._high = low, high
                self._sized = {1: raw, 2: raw.cast("H"), 4: raw.cast("I"), 8: raw.cast("Q")}
                self._words = self._sized[8]
                self._array = np.frombuffer(raw, dtype=np.uint64)
                return
        raise BusError(f"no memory at {address:#x}-{address + size:#x}; the machine has "
                       + ", ".join(f"{low:#x}-{high:#x}" for low, high, _ in self._banks))


def looks(function: Callable[Concatenate[Mm, P], R]) -> Callable[Concatenate[Mm, P], R]:
    """Decorator: `function` of an Mm reads memory in order to show or check it, in `MemoryPort.looking`."""

    @wraps(function)
    def looking(mm: Mm, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with mm.port.looking():
            return function(mm, *args, **kwargs)

    return looking


_ZERO_PAGE = bytes(4096)
