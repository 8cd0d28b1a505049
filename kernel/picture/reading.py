"""Reading what may be damaged: every way in which memory fails to make sense becomes one named error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from emulator import BusError
from kernel.errors import BootError, CorruptionError, GetFrameError, InvalidArgs, MetaTypeError


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
