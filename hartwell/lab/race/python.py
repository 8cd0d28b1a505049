"""Targets in Python: see `tasks`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hartwell.lab.errors import SpecError

if TYPE_CHECKING:
    from .target import Target


def open_python(spec: str, harts: int) -> Target:
    """An allocator in Python, or the kernel's own structures. SpecError."""
    raise SpecError(f"{spec}: there is no such target")
