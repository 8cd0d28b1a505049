"""Which interleavings differ: the happens-before order of an execution, as one number.

Two accesses of two threads depend on each other if they touch the same word, and one of them changes it.
Executions that order all dependent accesses alike are one *trace* (Mazurkiewicz): they lead to the same
state, whatever the order of the rest. An access's hash is of itself, of the access before it in its thread,
and of those that it depends on:

        thread 0:  load x ──────> store x           hash(store x) = H(hash(load x), x, changes, loads of x so far)
                                     ▲
        thread 1:        load x ─────┘

so the hashes of all threads' last accesses stand for the whole trace so far. A search that comes to a trace
for the second time need not go on from there. (Reductions that choose which threads to try, such as sleep sets
and persistent sets, lose executions when preemptions are bounded: M. Musuvathi and S. Qadeer, "Partial-Order
Reduction for Context-Bounded State Exploration", MSR-TR-2007-12.)

Hashes have 64 bits: two traces are taken for one with a probability of about 2^-61 a pair.
"""

from __future__ import annotations

from .system import GRANULE, Access

MASK = (1 << 64) - 1


class PartialOrder:
    """The happens-before order of an execution of some threads so far."""

    __slots__ = ("_last", "_words")

    def __init__(self, threads: int) -> None:
        self._last = list(range(threads))
        self._words: dict[int, tuple[int, int]] = {}
        """For each word: the hash of its last change, and the sum of those of the loads since."""

    def copy(self) -> PartialOrder:
        """Another one that goes on from here."""
        made = PartialOrder.__new__(PartialOrder)
        made._last, made._words = self._last.copy(), self._words.copy()
        return made

    def add(self, access: Access) -> None:
        """The next access of the execution."""
        thread, _, address, size, _, changed = access
        words = self._words
        known = self._last[thread]
        for word in range(address // GRANULE, (address + size - 1) // GRANULE + 1):
            change, loads = words.get(word, (0, 0))
            known = hash((known, word, changed, change, loads if changed else 0))
            words[word] = (known, 0) if changed else (change, loads + known & MASK)
        self._last[thread] = known

    def key(self) -> int:
        """A number for the trace so far."""
        return hash(tuple(self._last))
