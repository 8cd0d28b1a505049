"""docs/debug.md lists every command, as the tables have it, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hartwell.debug.command import Command
from hartwell.debug.commands import COMMANDS
from hartwell.debug.commands.info import SUBJECTS
from tests.hartwell.conftest import ROOT


def row(command: Command, before: str = "") -> str:
    """The row of a command in the page's tables."""
    cells = (f"`{before}{command.usage}`", ", ".join(f"`{alias}`" for alias in command.aliases), command.summary)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def rows(commands: Iterable[Command], before: str = "") -> list[str]:
    return [row(command, before) for command in commands]


def test_the_reference_is_the_table() -> None:
    page = (ROOT / "docs/debug.md").read_text()
    sections = dict(re.findall(r"^### (.*)\n\n\|.*\n\|---.*\n((?:\|.*\n)+)", page, re.M))
    assert list(sections) == [*(title for title, _ in COMMANDS.themes), "Subjects of info"]
    for title, commands in COMMANDS.themes:
        assert sections[title].splitlines() == rows(commands), title
    assert sections["Subjects of info"].splitlines() == rows(SUBJECTS, "info ")
