"""Machine primitives: what native functions may do besides integer arithmetic.

Native functions (see `native`) are plain Python over 64-bit *signed* integers. Everything they need
from the machine underneath is here: loads and stores at host addresses, the two operations that
differ between signed and unsigned numbers, and calls through a function pointer.

Each primitive exists twice. As the Python function below it works on the host's memory through
ctypes, so that a native function can also be run as ordinary Python (devices use that when Python
touches their registers, and tests use it to step through native code). `intrinsics` gives the
LLVM form that `native` puts in its place when it compiles.
"""

from __future__ import annotations

import ctypes
from typing import Any

MASK64 = (1 << 64) - 1


def _signed(value: int) -> int:
    """`value` modulo 2**64, as the signed number that native code would hold."""
    value &= MASK64
    return value - (1 << 64) if value >> 63 else value


def ld8(addr: int) -> int:
    """The byte at host address `addr`, 0 … 255."""
    return ctypes.c_uint8.from_address(addr).value


def ld16(addr: int) -> int:
    """The little-endian halfword at host address `addr`, 0 … 65535."""
    return ctypes.c_uint16.from_address(addr).value


def ld32(addr: int) -> int:
    """The little-endian word at host address `addr`, 0 … 2**32 - 1."""
    return ctypes.c_uint32.from_address(addr).value


def ld64(addr: int) -> int:
    """The little-endian doubleword at host address `addr`, as a signed number."""
    return ctypes.c_int64.from_address(addr).value


def st8(addr: int, value: int) -> None:
    """Store the low byte of `value` at host address `addr`."""
    ctypes.c_uint8.from_address(addr).value = value & 0xFF


def st16(addr: int, value: int) -> None:
    """Store the low halfword of `value` at host address `addr`."""
    ctypes.c_uint16.from_address(addr).value = value & 0xFFFF


def st32(addr: int, value: int) -> None:
    """Store the low word of `value` at host address `addr`."""
    ctypes.c_uint32.from_address(addr).value = value & 0xFFFFFFFF


def st64(addr: int, value: int) -> None:
    """Store `value` modulo 2**64 at host address `addr`."""
    ctypes.c_int64.from_address(addr).value = _signed(value)


def lshr(value: int, count: int) -> int:
    """`value` as an unsigned 64-bit number, shifted right by `count` (0 … 63)."""
    return _signed((value & MASK64) >> count)


def ult(a: int, b: int) -> bool:
    """Whether `a` is below `b` as unsigned 64-bit numbers."""
    return (a & MASK64) < (b & MASK64)


def udiv(a: int, b: int) -> int:
    """`a` divided by `b`, both unsigned; `b` must not be 0."""
    return _signed((a & MASK64) // (b & MASK64))


def ctz(value: int) -> int:
    """Number of zero bits below the lowest set bit of `value`; 64 for 0."""
    value &= MASK64
    return (value & -value).bit_length() - 1 if value else 64


def shared() -> int:
    """Host address of the process-wide table behind the native code (see `native.SHARED_WORDS`).

    Only the engine's process-global hooks use it; it does not exist outside compiled code.
    """
    raise RuntimeError("the shared table exists in compiled code only")


def _call(fn: int, *args: int) -> int:
    proto: Any = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * len(args))
    return int(proto(fn)(*args))


def call1(fn: int, a: int) -> int:
    """Call the C function at host address `fn` with one 64-bit argument; its 64-bit result."""
    return _call(fn, a)


def call2(fn: int, a: int, b: int) -> int:
    """`call1` with two arguments."""
    return _call(fn, a, b)


def call3(fn: int, a: int, b: int, c: int) -> int:
    """`call1` with three arguments."""
    return _call(fn, a, b, c)


def call4(fn: int, a: int, b: int, c: int, d: int) -> int:
    """`call1` with four arguments."""
    return _call(fn, a, b, c, d)


def call5(fn: int, a: int, b: int, c: int, d: int, e: int) -> int:
    """`call1` with five arguments."""
    return _call(fn, a, b, c, d, e)


def call6(fn: int, a: int, b: int, c: int, d: int, e: int, f: int) -> int:
    """`call1` with six arguments."""
    return _call(fn, a, b, c, d, e, f)


PRIMITIVES = (ld8, ld16, ld32, ld64, st8, st16, st32, st64, lshr, ult, udiv, ctz, shared,
              call1, call2, call3, call4, call5, call6)
"""Every primitive; `intrinsics.make` gives the LLVM form of each."""
