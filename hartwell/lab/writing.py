"""Writing what somebody asked for to a file: all of it, or nothing."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import LabError


class OutputError(LabError):
    """A file that cannot be written; says what it was to be, its name, and why."""


def write_text(path: str | Path, text: str, what: str) -> None:
    """Write a file; on an error, what was there before is still there. OutputError calls it `what`.

    What is no file, such as /dev/stdout, is written to as it is.
    """
    try:
        target = Path(os.path.realpath(path))
        if target.exists() and not target.is_file():
            _write(target, text)
            return
        if target.exists():
            target.open("r+b").close()  # may it be written at all?
        aside = target.with_name(f".{target.name[:200]}.{os.getpid()}")
        try:
            _write(aside, text)
            if target.exists():
                aside.chmod(target.stat().st_mode & 0o7777)
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
    except (OSError, ValueError) as why:
        reason = (why.strerror if isinstance(why, OSError) else None) or why
        raise OutputError(f"{what} {path}: cannot be written: {reason}") from None


def _write(target: Path, text: str) -> None:
    # Names of files that are no UTF-8 may be in any text.
    with target.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        file.write(text)
