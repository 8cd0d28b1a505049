"""The list that a loop walks along: found from what its registers were, iteration by iteration.

A register that is, in each iteration, what the iteration before has loaded from a fixed distance behind it (and perhaps
something fixed added: a walk by the addresses of links), goes along a list. Where that leads is then read from memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from emulator.errors import BusError

from .loop import Loop
from .steps import MASK

FARTHEST = 512
"""Bytes from the beginning of a node to its link, at most."""
LOOKED_AT = 64
"""Iterations that are looked at: the last ones."""
LONGEST = 1 << 20
"""Nodes that are followed."""
Word = Callable[[int], int]
"""Gives the 8 bytes at a virtual address; BusError."""


@dataclass(frozen=True)
class Chain:
    """A list that register `register` walks along, whose links are `offset` bytes into its nodes.

    `nodes` are their addresses in order, from where the loop was; `back` is the index of the node that the last one
    links to, None if the list goes on, or ends.
    """

    register: int
    offset: int
    nodes: tuple[int, ...]
    back: int | None

    @property
    def cycle(self) -> tuple[int, ...]:
        """The nodes that come again and again; none if the list does not go in a circle."""
        return self.nodes[self.back:] if self.back is not None else ()


def find_chain(loop: Loop, word: Word) -> Chain | None:
    """The list that `loop` walks along, None if it walks along none."""
    iterations = loop.iterations[-LOOKED_AT:]
    heads = [steps[0] for steps in iterations]
    if len(heads) < 2:
        return None
    best: Chain | None = None
    for register in (*range(5, 32), 1, 3, 4):
        values = [step.registers[register] for step in heads]
        loads = [{step.access.address for step in steps if step.access is not None and step.access.load}
                 for steps in iterations]
        for offset in _offsets(values[0], loads[0]):
            added = _added(values, offset, loads, word)
            if added is None:
                continue
            chain = _follow(register, values[-1], offset, added, word)
            if best is None or (chain.back is not None, len(chain.nodes)) > (best.back is not None, len(best.nodes)):
                best = chain
    return best


def _offsets(value: int, loads: set[int]) -> list[int]:
    return sorted(distance for address in loads if 0 <= (distance := address - value) <= FARTHEST)


def _added(values: list[int], offset: int, loads: list[set[int]], word: Word) -> int | None:
    """What is added to each link to get the register's next value; None if it is not always the same."""
    added: int | None = None
    try:
        for before, after, loaded in zip(values, values[1:], loads, strict=False):
            if before + offset not in loaded:
                return None
            difference = (after - word(before + offset) & MASK)
            if difference > FARTHEST or added is not None and difference != added:
                return None
            added = difference
    except BusError:
        return None
    return added


def _follow(register: int, value: int, offset: int, added: int, word: Word) -> Chain:
    """The list from a value of the register on."""
    nodes: list[int] = []
    seen: dict[int, int] = {}
    node = value - added
    try:
        while node and len(nodes) < LONGEST:
            if node in seen:
                return Chain(register, offset + added, tuple(nodes), seen[node])
            seen[node] = len(nodes)
            nodes.append(node)
            node = word(node + added + offset)
    except BusError:
        pass
    return Chain(register, offset + added, tuple(nodes), None)
