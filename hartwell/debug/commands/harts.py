"""Commands about harts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..command import Command
from ..context import harts as hart_lines
from ..harts import hart_number
from ..stopping import show_place

if TYPE_CHECKING:
    from ..session import Session


def hart(session: Session, text: str) -> None:
    if not text:
        for line in hart_lines(session):
            session.out(line)
        return
    session.hart_number = hart_number(session, text)
    session.frame_number = 0
    session.listing = None
    show_place(session)


COMMANDS = (
    Command("hart", "hart [N]", "look at hart N, and step it; without N, list the harts", """\
Registers, memory and steps are this hart's until the machine stops for another. thread is the same; its numbers
are those of the harts, from 0.""", hart, ("thread", "t"), remote=True),
)
