"""Commands about files and scripts, and the end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..command import Command, Completes
from ..errors import DebugError
from .changing import unescape

if TYPE_CHECKING:
    from ..session import Session

DEEPEST = 16
"""Scripts that may run one another."""


def save(session: Session, text: str) -> None:
    if not text:
        raise DebugError("save to what? Expected the name of a file")
    try:
        size = session.machine.snapshot().save(text)
    except OSError as why:
        raise DebugError(f"{text}: {why.strerror}") from None
    session.out(f"saved in {text}: {size:,} bytes, after {session.machine.instructions:,} instructions; "
                f"hartwell debug --load {text} goes on from there")


def source(session: Session, text: str) -> None:
    from ..script import run_script

    if not text:
        raise DebugError("source what? Expected the name of a file with commands")
    if len(session.sources) >= DEEPEST:
        raise DebugError(f"source {text}: {DEEPEST} scripts run one another already")
    run_script(session, Path(text))


def symbol_file(session: Session, text: str) -> None:
    from emulator.loader.detect import load_image, read_file

    if not text:
        raise DebugError("symbol-file what? Expected the name of an ELF file")
    image = load_image(read_file(text, "symbol file"), text, 0)
    if not len(image.symbols):
        raise DebugError(f"{text}: no symbols in it" + (f": {image.symbols.problem}" if image.symbols.problem else ""))
    session.programs.add(image)
    session.out(f"{text}: {len(image.symbols):,} symbols")


def directory(session: Session, text: str) -> None:
    if not os.path.isdir(text):
        raise DebugError(f"directory {text or 'what'}: expected the name of a folder")
    session.programs.directories = (Path(text), *session.programs.directories)


def echo(session: Session, text: str) -> None:
    session.out(unescape(text))


def quit_(session: Session, text: str) -> None:
    if text and not (text.isdecimal() and int(text) < 256):
        raise DebugError(f"quit {text}: expected an exit code from 0 to 255")
    session.exit_code = int(text or 0)


COMMANDS = (
    Command("save", "save FILE", "write a snapshot of the machine as it is here, in the past, too", """\
hartwell debug --load FILE, and hartwell boot --load FILE, go on from there.""", save, ("snapshot",), Completes.FILE),
    Command("source", "source FILE", "run the commands in a file, up to the first that fails", """\
A line is a command; # begins a comment.""", source, (), Completes.FILE),
    Command("symbol-file", "symbol-file FILE", "know the symbols and source lines of an ELF, too", """\
For programs that the guest loads itself, or that are in a snapshot. Where names clash, what came last wins.""",
            symbol_file, ("add-symbol-file", "file"), Completes.FILE),
    Command("directory", "directory DIR", "look for source files in DIR first", "", directory, ("dir",),
            Completes.FILE),
    Command("echo", "echo TEXT", r"say TEXT, with C's escapes", "", echo),
    Command("quit", "quit [CODE]", "end the session, with an exit code", "At a prompt, Ctrl-D does it, too.",
            quit_, ("q", "exit")),
)
