"""Waiting: who is to be told when a file can be read or written again.

    while True:
        try:
            return done + file.write(reader)
        except WouldBlock as wait:
            done += wait.done               # bytes that the reader stands behind already
            ...                             # wait.queue.add(wake), and let others run

An operation that cannot go on raises WouldBlock and is called again, with the same reader or writer, when the
queue was woken. A wake-up may come for nothing, and none is lost: nothing runs between the look and the wait.
"""

from __future__ import annotations

from collections.abc import Callable


class WaitQueue:
    """Whoever waits for one thing, in the order of coming."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, wake: Callable[[], None]) -> None:
        """Call `wake` once, when its turn has come."""
        self._waiting.append(wake)

    def remove(self, wake: Callable[[], None]) -> None:
        """Do not call it any more; nothing if it is not here."""
        if wake in self._waiting:
            self._waiting.remove(wake)

    def wake(self, count: int | None = None) -> int:
        """Wake the first `count`, or all; how many. Whoever comes meanwhile waits for the next time."""
        taken = self._waiting if count is None else self._waiting[:count]
        self._waiting = self._waiting[len(taken):]
        for wake in taken:
            wake()
        return len(taken)


class WouldBlock(Exception):  # noqa: N818 - a control transfer, no error
    """The operation waits for `queue`; `done` bytes of it are done, and the cursor is past them."""

    def __init__(self, queue: WaitQueue, done: int = 0) -> None:
        super().__init__(f"waits; {done} bytes are done")
        self.queue, self.done = queue, done
