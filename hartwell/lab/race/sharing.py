"""Which words several threads access: only before those is there a point in switching threads.

An access to a word that no other thread touches can change places with whatever the others do meanwhile. So a
switch before it is as good as one before the thread's next access to a shared word, and needs no trying. Which
words are shared, executions tell: when one turns out to be that was not known before, the search begins again.
"""

from __future__ import annotations

from .system import GRANULE, Access, Place


class Sharing:
    """What is known of who accesses what."""

    def __init__(self) -> None:
        self._touched: dict[int, int] = {}
        """The threads that have touched a word, a bit for each,"""
        self._changed: set[int] = set()
        """the words that somebody has changed,"""
        self._shared: set[int] = set()
        """and those that somebody has changed, and others have touched."""

    def add(self, access: Access) -> bool:
        """One more access of any execution; whether a word is now known to be shared that was not."""
        thread, _, address, size, _, changed = access
        found = False
        for word in range(address // GRANULE, (address + size - 1) // GRANULE + 1):
            if word in self._shared:
                continue
            touched = self._touched[word] = self._touched.get(word, 0) | 1 << thread
            if changed:
                self._changed.add(word)
            if touched & touched - 1 and word in self._changed:
                self._shared.add(word)
                found = True
        return found

    def matters(self, place: Place | None) -> bool:
        """Whether a thread that is about to access `place` is worth being preempted there."""
        if place is None:
            return True
        first, last = place[0] // GRANULE, (place[0] + place[1] - 1) // GRANULE
        return first in self._shared or any(word in self._shared for word in range(first + 1, last + 1))
