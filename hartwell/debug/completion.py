"""Completion at the prompt: commands, info's subjects, places, registers, symbols, files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from emulator import csrs
from emulator.hart import F_NAMES, X_NAMES

from .command import Completes, split_line
from .errors import DebugError
from .places import mark_names

if TYPE_CHECKING:
    from .session import Session

REGISTERS = sorted({"pc", "fp", "priv", *X_NAMES, *F_NAMES, *csrs.NUMBERS})
_WORD = re.compile(r"[\w$.:*-]*$")
_NAME = re.compile(r"\$?[\w.]*$")
MOST = 500


def complete(session: Session, text: str) -> tuple[int, list[str]]:
    """How many characters before the cursor are completed, and what could stand in their place."""
    from .commands import COMMANDS
    from .commands.info import SUBJECTS

    head = text.lstrip()
    if re.fullmatch(r"[\w-]*", head):
        return len(head), [name for name in COMMANDS.names if name.startswith(head)]
    try:
        word, rest = split_line(head)
        command = COMMANDS.find(word)
    except DebugError:
        return 0, []
    if command.completes is Completes.EXPRESSION and rest.startswith("/") and " " not in rest:
        return 0, []
    match command.completes:
        case Completes.COMMAND:
            return len(rest), [name for name in COMMANDS.names if name.startswith(rest)]
        case Completes.SUBJECT if " " not in rest:
            return len(rest), [name for name in SUBJECTS.names if name.startswith(rest)]
        case Completes.FILE:
            return len(rest), files(rest)
        case Completes.PLACE:
            begun = _WORD.search(rest)
            typed = begun[0] if begun is not None else ""
            marks = mark_names() if session.target.driven else []
            found = [name for name in marks if typed and name.startswith(typed)]
            return (len(typed), found) if found else names(session, rest)
        case Completes.EXPRESSION | Completes.SUBJECT:
            return names(session, rest)
    return 0, []


def names(session: Session, text: str) -> tuple[int, list[str]]:
    """Registers behind a $, symbols otherwise."""
    begun = _NAME.search(text)
    typed = begun[0] if begun is not None else ""
    if typed.startswith("$"):
        known = sorted({*REGISTERS, *session.values.named})
        return len(typed), [f"${name}" for name in known if name.startswith(typed[1:])]
    if typed[:1].isdigit():
        return 0, []
    symbols = {symbol.name for symbol in session.programs.symbols}
    return len(typed), sorted(name for name in symbols if name.startswith(typed))[:MOST]


def files(text: str) -> list[str]:
    """Paths that begin so; folders with a slash."""
    folder, name = os.path.split(text)
    try:
        entries = sorted(os.scandir(folder or "."), key=lambda entry: entry.name)
    except OSError:
        return []
    return [os.path.join(folder, entry.name) + ("/" if entry.is_dir() else "") for entry in entries
            if entry.name.startswith(name)]


class DebugCompleter(Completer):
    """`complete`, for prompt_toolkit."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        length, found = complete(self._session, document.text_before_cursor)
        return (Completion(text, start_position=-length) for text in found)
