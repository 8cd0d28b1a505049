"""What `hartwell lab new` writes: allocators to begin with, which pass.

    for path, text in new_files("c", "frame").items(): ...

The folders c/ and python/ have what is the template's own; link.ld and hartwell/lab.h are those of the package
`allocators`, so that there is one of each.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

C_KINDS: Final = ("frame", "heap")
"""Kinds of allocators that there are templates of, in either language."""
LANGUAGES: Final = ("c", "python")
SPECS: Final = {"c": "allocator.elf", "python": "allocator.py:MyAllocator"}
"""How the new allocator is named."""


def new_files(language: str, kind: str) -> dict[str, str]:
    """All files of a new allocator in one of LANGUAGES, of a kind in C_KINDS: their text by path. KeyError."""
    made = {"c": c_files, "python": python_files}[language](kind)
    return {**made, "test_allocator.py": _text("python", f"test_{kind}.py"),
            "pytest.ini": f"# What the fixture {kind}_allocator of Hartwell's pytest plugin is.\n[pytest]\n"
                          f"hartwell_{kind}_allocator = {SPECS[language]}\n"}


def c_files(kind: str) -> dict[str, str]:
    """The files of an allocator in C, of a kind in C_KINDS: their text by path. KeyError for another kind."""
    lab = files("allocators")
    source = {name: f"{name}.c" for name in C_KINDS}[kind]
    return {
        "allocator.c": _text("c", source),
        "Makefile": _text("c", "Makefile"),
        "README.md": _text("c", "README.md"),
        "link.ld": (lab / "link.ld").read_text("utf-8"),
        "hartwell/lab.h": (lab / "include" / "hartwell" / "lab.h").read_text("utf-8"),
    }


def python_files(kind: str) -> dict[str, str]:
    """The files of an allocator in Python, of a kind in C_KINDS: their text by path. KeyError for another kind."""
    source = {name: f"{name}.py" for name in C_KINDS}[kind]
    return {"allocator.py": _text("python", source), "README.md": _text("python", "README.md")}


def _text(folder: str, name: str) -> str:
    return (files(__package__) / folder / name).read_text("utf-8")
