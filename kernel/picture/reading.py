"""Reading what may be damaged: every way in which memory fails to make sense becomes one named error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from emulator import BusError
from kernel.errors import BootError, CorruptionError, GetFrameError, InvalidArgs, MetaTypeError
from kernel.mm.statics import CAPACITY, ENTRY, FIRST_ENTRY, LOCAL, Statics


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Inside the block, `what` is read; CorruptionError, beginning with `what`, if that leads out of memory.

    An address where there is no memory, a frame without metadata, a type that is declared otherwise: nothing that
    the kernel writes leads there.
    """
    try:
        yield
    except (BusError, BootError, GetFrameError, InvalidArgs, MetaTypeError) as why:
        raise CorruptionError(f"{what}: {why}") from why
    except CorruptionError as why:
        if str(why).startswith(what):
            raise
        raise CorruptionError(f"{what}: {why}") from why


def has_local_area(statics: Statics, name: str) -> bool:
    """Whether CPU-local storage has an area of this name. Asking the statics for it would make one."""
    port, base = statics.port, statics.base
    raw = name.encode().ljust(16, b"\0")
    for number in range(min(port.load(base + 8), CAPACITY)):
        entry = base + FIRST_ENTRY + number * ENTRY
        if port.read(entry, 16) == raw and port.load_sized(entry + 28, 4) == LOCAL:
            return True
    return False
