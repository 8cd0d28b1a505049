"""A budget for code that is not ours: an allocator that loops is stopped and named (R2.5).

The budget counts executed lines of Python, so that the same loop ends at the same place in every run,
on any host; it costs the guarded code, and nothing else, a factor of some ten in speed.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, ParamSpec, TypeVar

from kernel.errors import AllocatorHung

R = TypeVar("R")
A = ParamSpec("A")
DEPTH = 8
"""Callers that a report names."""


class Watchdog:
    """Ends a guarded call after `budget` lines, with AllocatorHung."""

    def __init__(self, budget: int = 1_000_000) -> None:
        self.budget = budget
        self._left = 0
        self._known: dict[int, tuple[CodeType, bool]] = {}

    def call(self, name: str, operation: str, function: Callable[A, R], *args: A.args, **options: A.kwargs) -> R:
        """`function(*args)`; `name` and `operation` are for the report."""

        def trace(frame: FrameType, event: str, _: Any) -> Any:
            if event == "call":
                frame.f_trace_opcodes = self._turns_in_place(frame.f_code)
            elif event in ("line", "opcode"):
                self._left -= 1
                if self._left < 0:
                    raise AllocatorHung(name, operation, self.budget, _where(frame))
            return trace

        before = sys.gettrace()
        self._left = self.budget
        sys.settrace(trace)
        try:
            return function(*args, **options)
        finally:
            sys.settrace(before)

    def _turns_in_place(self, code: CodeType) -> bool:
        """Whether it has a jump to itself (`while True: pass`): for Python, its line is executed once."""
        known = self._known.get(id(code))
        if known is None:
            jumps = (each for each in dis.get_instructions(code) if each.opcode in dis.hasjrel)
            turns = any(each.argval == each.offset for each in jumps)
            known = self._known[id(code)] = code, turns
        return known[1]


def _where(frame: FrameType | None) -> tuple[str, ...]:
    places: list[str] = []
    while frame is not None and len(places) < DEPTH and frame.f_code.co_filename != __file__:
        places.append(f"{frame.f_code.co_qualname} (line {frame.f_lineno})")
        frame = frame.f_back
    return tuple(places)
