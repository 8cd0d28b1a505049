"""Scripts: commands from a file or a pipe, a line each, up to the first that fails.

The error names the file and the line, as `boot.cmd:3: there is no command 'foo'`. # begins a comment line.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from emulator.stop import Interrupted

from .errors import DebugError

if TYPE_CHECKING:
    from .session import Session


class ScriptError(DebugError):
    """A line of a script failed; the text says which, and why."""


class ScriptInterrupted(DebugError):
    """The user has ended a script with Ctrl-C."""


def run_script(session: Session, path: Path) -> None:
    """Run the commands in a file. ScriptError for the first that fails; DebugError if it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as why:
        raise DebugError(f"{path}: {why.strerror}") from None
    except UnicodeDecodeError:
        raise DebugError(f"{path}: not a text file: expected commands, in UTF-8") from None
    session.sources.append(path)
    try:
        run_lines(session, text.splitlines(), str(path))
    finally:
        session.sources.pop()


def run_lines(session: Session, lines: Iterable[str], name: str) -> None:
    """Run commands until one fails (ScriptError), says quit, or is ended by Ctrl-C (ScriptInterrupted)."""
    for number, line in enumerate(lines, 1):
        stop = session.target.stop
        try:
            session.execute(line)
        except (ScriptError, ScriptInterrupted):
            raise
        except DebugError as why:
            raise ScriptError(f"{name}:{number}: {why}") from why
        if session.exit_code is not None:
            return
        if session.target.stop is not stop and type(session.target.stop) is Interrupted:
            raise ScriptInterrupted(f"{name}:{number}: interrupted")


def piped(stream: TextIO) -> Iterable[str]:
    """The lines of standard input, each as it comes."""
    stream.reconfigure(errors="backslashreplace")  # type: ignore[attr-defined]
    return (line.rstrip("\n") for line in stream)


def stdin_lines() -> Iterable[str]:
    """Standard input, by lines."""
    return piped(sys.stdin)
