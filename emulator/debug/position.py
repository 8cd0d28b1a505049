"""A place in a run, between two steps of its harts or two turns of the host's software."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Position:
    """After `steps` steps of all harts since the history began (`Machine.steps`), and `turn` turns of the host.

    A turn is what software on the host does to the machine while its harts stand still: a kernel in Python, input
    from a console, a register that a user sets. Positions are ordered as things happened.
    """

    steps: int
    turn: int = 0

    def __str__(self) -> str:
        return f"step {self.steps:,}" + (f", turn {self.turn}" if self.turn else "")
