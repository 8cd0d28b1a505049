"""help: what there is, from the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..command import Command, Completes
from ..palette import Role
from .info import SUBJECTS

if TYPE_CHECKING:
    from ..session import Session

WIDTH = 30


def help_(session: Session, text: str) -> None:
    from . import COMMANDS

    if not text:
        for line in overview(session):
            session.out(line)
        return
    first, _, rest = text.partition(" ")
    command = COMMANDS.find(first)
    if command.name == "info" and rest.strip():
        command = SUBJECTS.find(rest.strip())
    for line in explain(command):
        session.out(line)


def explain(command: Command) -> list[str]:
    """All about one command."""
    said = [command.usage, *([f"also {', '.join(command.aliases)}"] if command.aliases else []), "", command.summary]
    return [*said, *(["", *command.more.splitlines()] if command.more else [])]


def overview(session: Session) -> list[str]:
    """A line for each command, by theme."""
    from . import COMMANDS

    said: list[str] = []
    for title, commands in COMMANDS.themes:
        said.append(session.paint(Role.HEADING, title))
        for command in commands:
            names = f" ({', '.join(command.aliases)})" if command.aliases else ""
            said.append(f"  {command.name + names:{WIDTH}} {command.summary}")
    return [*said, "", "help COMMAND tells more. The beginning of a name will do; at a prompt, Tab completes, and an",
            "empty line repeats steps, x and list. A first session: b main, c, context, si, rsi, info history."]


COMMANDS = (
    Command("help", "help [COMMAND]", "all commands, or all about one", "help info SUBJECT, too.",
            help_, ("h", "?"), Completes.COMMAND, remote=True),
)
