"""Harts by their numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import DebugError

if TYPE_CHECKING:
    from .session import Session


def hart_number(session: Session, text: str) -> int:
    """The hart that is meant; DebugError if the machine has no such."""
    count = len(session.machine.harts)
    if not text.isdecimal() or int(text) >= count:
        there = "hart 0 only" if count == 1 else f"harts 0 to {count - 1}"
        raise DebugError(f"hart {text}: the machine has {there}")
    return int(text)
