"""Arguments of commands: counts, numbers of breakpoints, formats."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .errors import DebugError
from .expression import evaluate

if TYPE_CHECKING:
    from .session import Session

MOST = 1 << 40
"""The highest count."""


def count(session: Session, text: str, default: int = 1) -> int:
    """A count that a command is given, by an expression; DebugError unless it is 1 to 2^40."""
    if not text:
        return default
    value = evaluate(text, session.scope)
    if not 1 <= value <= MOST:
        raise DebugError(f"{text} is {value}: expected a count from 1 on")
    return value


def numbers(text: str) -> list[int]:
    """`1 3-5` as the numbers that it means; DebugError if it is something else."""
    found: list[int] = []
    for word in text.replace(",", " ").split():
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", word)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if not first <= last <= first + 1000:
            raise DebugError(f"{word!r}: expected numbers such as 2 or 3-5")
        found += range(first, last + 1)
    return found


def split_format(text: str) -> tuple[str, str]:
    """`/8xg $sp` as its format and the rest; the format is empty if there is none."""
    if not text.startswith("/"):
        return "", text
    head, _, rest = text[1:].partition(" ")
    return head, rest.strip()


def nothing(text: str, name: str) -> None:
    """DebugError if a command that takes no argument has one."""
    if text:
        raise DebugError(f"{name} takes no argument, found {text!r}")
