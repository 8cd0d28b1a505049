"""What a command is, and finding one by what is typed: its name, an alias, or the beginning of a name.

        b main          an alias of break
        info reg        info's subjects are found in the same way
        reverse-c       the only command that begins so
        x/4i $pc        a format sticks to the name
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from .errors import DebugError

if TYPE_CHECKING:
    from .session import Session


class Completes(Enum):
    """What may stand behind a command's name, for completion."""

    NOTHING = "nothing"
    EXPRESSION = "expression"
    PLACE = "place"
    FILE = "file"
    COMMAND = "command"
    SUBJECT = "subject"


class Again(Enum):
    """What an empty line does after a command."""

    NOTHING = "nothing"
    SAME = "same"
    ONWARDS = "onwards"  # the command without arguments, which goes on where it stopped


@dataclass(frozen=True)
class Command:
    """A command: its `name`, its `usage`, a `summary` in one line, and `more` about it in a few.

    `run(session, text)` does it, with what is typed behind its name; DebugError if it cannot be done. `remote` says
    whether it makes sense for a session that somebody else leads: a gdb, with its `monitor`.
    """

    name: str
    usage: str
    summary: str
    more: str
    run: Callable[[Session, str], None]
    aliases: tuple[str, ...] = ()
    completes: Completes = Completes.NOTHING
    again: Again = Again.NOTHING
    remote: bool = False


class CommandTable:
    """Commands by theme, in the order in which help shows them. `what` a name in it is, for errors."""

    def __init__(self, themes: Sequence[tuple[str, Sequence[Command]]], what: str = "command") -> None:
        self.themes = tuple((title, tuple(commands)) for title, commands in themes)
        self._what = what
        self._exact: dict[str, Command] = {}
        for command in self:
            for name in (command.name, *command.aliases):
                assert name not in self._exact, name
                self._exact[name] = command

    def __iter__(self) -> Iterator[Command]:
        return (command for _, commands in self.themes for command in commands)

    @property
    def names(self) -> list[str]:
        """The names, without aliases, sorted."""
        return sorted(command.name for command in self)

    def find(self, word: str) -> Command:
        """The command that `word` names; DebugError if it could be several, or none."""
        if word in self._exact:
            return self._exact[word]
        found = [name for name in self.names if name.startswith(word)]
        if len(found) == 1:
            return self._exact[found[0]]
        if found:
            raise DebugError(f"{word!r} could be {', '.join(found[:-1])} or {found[-1]}")
        near = difflib.get_close_matches(word, sorted(self._exact), 3, 0.6)
        near = list(dict.fromkeys(self._exact[name].name for name in near))
        hint = f"did you mean {' or '.join(near)}?" if near else "help lists them"
        raise DebugError(f"there is no {self._what} {word!r}: {hint}")


_WORD = re.compile(r"\s*([A-Za-z_][\w-]*|\?)(.*)", re.S)


def split_line(line: str) -> tuple[str, str]:
    """The command's word and what is behind it. DebugError if there is no word."""
    match = _WORD.fullmatch(line)
    if match is None or "\0" in line:
        raise DebugError(f"expected a command, found {line.strip()!r}: help lists them")
    return match[1], match[2].strip()
