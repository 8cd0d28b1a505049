"""The loop that a hart is in: found in what it did.

A loop that never ends is in a frame that is never left: that of the greatest stack pointer that comes again and again.
Its *head* is where the last jump backwards in that frame leads, of several the outermost one; an iteration is what is
done from head to head, with all that is called.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from .steps import Access, Step

LEAST = 3
"""Times that a head must have been come to."""


@dataclass(frozen=True)
class Loop:
    """`head` is the address that each iteration begins at, `body` all addresses of it in the frame of the loop,
    `called` those in functions that it calls; `iterations` are the steps of each iteration that was seen whole."""

    head: int
    body: tuple[int, ...]
    called: tuple[int, ...]
    iterations: tuple[tuple[Step, ...], ...]

    @property
    def heads(self) -> list[Step]:
        """The first step of each iteration."""
        return [steps[0] for steps in self.iterations]

    @property
    def accesses(self) -> list[Access]:
        """All accesses of the last iteration."""
        return [step.access for step in self.iterations[-1] if step.access is not None]

    @property
    def unchanging(self) -> bool:
        """Whether all registers are, as an iteration begins, what they were as the one before it did."""
        return len({step.registers for step in self.heads}) == 1


def find_loop(steps: Sequence[Step]) -> Loop | None:
    """The loop that these steps are in the middle of, None if they do not show any."""
    settled = steps[len(steps) // 2:]
    if not settled:
        return None
    sp = max(step.sp for step in settled)
    places = [number for number, step in enumerate(steps) if step.sp == sp]
    heads: Counter[int] = Counter()
    for before, after in zip(places, places[1:], strict=False):
        if steps[after].pc <= steps[before].pc:
            heads[steps[after].pc] += 1
    often = [pc for pc, count in heads.items() if count >= LEAST - 1]
    if not often:
        return None
    head = min(often)
    visits = [number for number in places if steps[number].pc == head]
    iterations = tuple(tuple(steps[first:last]) for first, last in zip(visits, visits[1:], strict=False))
    if not iterations:
        return None
    recent = [step for iteration in iterations[-LEAST:] for step in iteration]
    body = sorted({step.pc for step in recent if step.sp == sp})
    called = sorted({step.pc for step in recent if step.sp != sp} - set(body))
    return Loop(head, tuple(body), tuple(called), iterations)
