"""Kernels on machines with a timing model."""

from __future__ import annotations

from emulator import Board, Machine
from emulator.timing import load_profile
from kernel import Choices, Kernel
from tests.helpers.kernels import SMALL, kernel, mm

__all__ = ["kernel", "mm", "timed"]


def timed(profile: str = "rocket", *, harts: int = 1, choices: Choices | None = None) -> Kernel:
    """A kernel on a small machine whose cycles are counted with `profile`; "off" for one without a model."""
    return Kernel.boot(Machine(Board(memory=SMALL, harts=harts), None if profile == "off" else load_profile(profile)),
                       choices)
