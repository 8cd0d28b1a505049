"""What `hartwell lab new` writes: allocators to begin with, which pass.

    for path, text in c_files("frame").items(): ...

The folder c/ has what is the template's own; link.ld and hartwell/lab.h are those of the package `allocators`, so that
there is one of each.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

C_KINDS: Final = ("frame", "heap")


def c_files(kind: str) -> dict[str, str]:
    """The files of an allocator in C, of a kind in C_KINDS: their text by path. KeyError for another kind."""
    own, lab = files(__package__) / "c", files("allocators")
    source = {name: f"{name}.c" for name in C_KINDS}[kind]
    return {
        "allocator.c": (own / source).read_text("utf-8"),
        "Makefile": (own / "Makefile").read_text("utf-8"),
        "README.md": (own / "README.md").read_text("utf-8"),
        "link.ld": (lab / "link.ld").read_text("utf-8"),
        "hartwell/lab.h": (lab / "include" / "hartwell" / "lab.h").read_text("utf-8"),
    }
