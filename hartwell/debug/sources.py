"""Finding the source files that debug information names, which were often somewhere else when it was made.

A file is looked for, in this order:

        in each of the user's directories, under its full name, then with ever fewer leading directories
        where its full name says
        if that is relative: from the program's file upwards, and beside Hartwell's own firmware and images
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path, PurePosixPath

LARGEST = 16 << 20
"""Bytes of a source file that are read at most: names come from untrusted files."""
_UPWARDS = 6


class SourceFiles:
    """The lines of source files, read once each. `directories` are the user's."""

    def __init__(self, directories: Sequence[Path]) -> None:
        self.directories = tuple(directories)
        self._known: dict[tuple[str, str], list[str] | None] = {}

    def lines(self, file: str, program: str) -> list[str] | None:
        """The lines of `file`, as debug information calls it, of the program in file `program`; None if not found."""
        if (file, program) not in self._known:
            found = next(filter(_is_source, self._candidates(file, program)), None)
            self._known[file, program] = None if found is None else _read(found)
        return self._known[file, program]

    def _candidates(self, file: str, program: str) -> Iterator[Path]:
        name = PurePosixPath(file)
        parts = [part for part in name.parts if part not in ("/", "..")]
        if not parts or "\0" in file:
            return
        for directory in self.directories:
            for skipped in range(len(parts)):
                yield directory.joinpath(*parts[skipped:])
        if name.is_absolute():
            yield Path(name)
            return
        if "\0" not in program:
            for above in list(Path(program).absolute().parents)[:_UPWARDS]:
                yield above / name
        yield Path(str(files("images"))).parent / name


def _is_source(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size <= LARGEST
    except OSError:
        return False


def _read(path: Path) -> list[str] | None:
    try:
        text = path.read_text("utf-8", "replace")
    except OSError:
        return None
    return text.removesuffix("\n").split("\n")
