"""A spin lock in emulated memory (`ostd::sync::SpinLock`, interrupts disabled while it is held).

        word:  0 free | n+1 held by CPU n

Python code runs to its end between two port accesses unless an observer of the port lets another task
run in between (`interleave`). Without one, nobody could release a lock that is found taken: LockHeld
says so at once instead of spinning forever. With one, `MemoryPort.waiter` lets the others run.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from kernel.errors import LockHeld
from kernel.mm.port import MemoryPort


class SpinLock:
    """The lock whose word is at physical `address`; `name` for messages, `cpu()` who takes it.

    Use it in a `with` block. LockHeld if it is taken and nobody could ever release it.
    """

    __slots__ = ("_address", "_cpu", "_name", "_port")

    def __init__(self, port: MemoryPort, address: int, name: str, cpu: Callable[[], int]) -> None:
        self._port, self._address, self._name, self._cpu = port, address, name, cpu

    @property
    def holder(self) -> int | None:
        """The CPU that holds the lock, None if it is free."""
        word = self._port.load(self._address)
        return word - 1 if word else None

    def __enter__(self) -> None:
        me = self._cpu() + 1
        while was := self._port.compare_exchange(self._address, 0, me):
            if self._port.waiter is None:
                raise LockHeld(f"CPU {me - 1} waits for the {self._name} lock, which CPU {was - 1} holds")
            self._port.waiter()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._port.store(self._address, 0)
