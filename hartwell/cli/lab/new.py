"""`hartwell lab new`: a folder with an allocator to begin with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from hartwell.cli.status import CommandError


class Language(Enum):
    """What an allocator can be begun in."""

    C = "c"
    PYTHON = "python"


class Of(Enum):
    """What it hands out."""

    FRAME = "frame"
    HEAP = "heap"


def new(
    folder: Annotated[str, typer.Argument(metavar="DIR", show_default=False,
                                          help="The folder to write; it must not be there yet, or be empty.")],
    language: Annotated[Language, typer.Option("--lang", help="What it is written in.")] = Language.C,
    kind: Annotated[Of, typer.Option("--kind", help="Whether it hands out frames, or bytes of a heap.")] = Of.FRAME,
) -> None:
    """Write a starting point: a small allocator that passes, with tests and a README.

    \b
    [b]Examples[/b]
      hartwell lab new mine                  in C, for RISC-V
      hartwell lab new --lang python mine    in Python: the kernel lives on it
      cd mine && hartwell test allocator.py:MyAllocator
      cd mine && pytest                      its tests (pip install pytest)
    """
    from hartwell.lab.template import SPECS, new_files

    write(Path(folder), new_files(language.value, kind.value))
    build = "make && " if language is Language.C else ""
    print(f"{folder}: a {kind.value} allocator in {language.value.capitalize()}, with its README.md; try")
    print(f"  cd {folder} && {build}hartwell test {SPECS[language.value]}")


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write `files`, texts by path, to a new `folder`: all of them or nothing. CommandError, OSError."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        what = "is there already, and not empty" if folder.is_dir() else "is there, and no folder"
        raise CommandError(f"{folder}: {what}; expected a new name")
    if not folder.parent.is_dir():
        raise CommandError(f"{folder}: there is no folder {folder.parent}")
    aside = folder.parent / f".{folder.name}.{os.getpid()}"
    try:
        for path, text in files.items():
            file = aside / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        aside.rename(folder)  # takes the place of an empty folder, too
    finally:
        _remove(aside)


def _remove(folder: Path) -> None:
    from shutil import rmtree

    rmtree(folder, ignore_errors=True)
