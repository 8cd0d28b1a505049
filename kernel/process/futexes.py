"""Futexes: tasks that wait for a word of memory to change."""

from __future__ import annotations

from kernel.errno import Errno, SysError

from .address_space import AddressSpace
from .wait import WaitQueue

FutexKey = int | tuple[AddressSpace, int]


class Futexes:
    """Who waits for which word.

    A word of shared memory is known by its physical address, which is the same for all who share it. A word of
    private memory is known by its address space and its virtual address: a fork gives it another frame when it is
    written to, and those who wait for it must be found all the same.
    """

    def __init__(self) -> None:
        self._queues: dict[FutexKey, WaitQueue] = {}

    def __len__(self) -> int:
        return len(self._queues)

    def key(self, space: AddressSpace, address: int) -> FutexKey:
        """What the word at user address `address` is known by; EFAULT if there is none."""
        area = space.areas.find(address)
        paddr = space.space.translate(address, False)
        if area is None or paddr is None:
            raise SysError(Errno.EFAULT, f"futex at {address:#x}")
        return paddr if area.shared else (space, address)

    def queue(self, key: FutexKey) -> WaitQueue:
        """Those who wait for a word; `tidy` when one of them does not any more."""
        return self._queues.setdefault(key, WaitQueue())

    def wake(self, key: FutexKey, count: int) -> int:
        """Wake up to `count` of them; how many."""
        queue = self._queues.get(key)
        woken = queue.wake(count) if queue is not None else 0
        self.tidy(key)
        return woken

    def tidy(self, key: FutexKey) -> None:
        """Forget a word that nobody waits for."""
        queue = self._queues.get(key)
        if queue is not None and not len(queue):
            del self._queues[key]
