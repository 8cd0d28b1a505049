"""A machine that counts cycles with a profile."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from emulator.board import Board
from emulator.machine import Machine
from emulator.timing.profile import Profile

REFERENCE = "rocket"
"""The profile of the core that the programs were measured on."""
MODELLED = "timing" in inspect.signature(Machine).parameters
"""Whether there is a timing model. Until there is, a cycle is an instruction, whatever the profile says."""


def profile(name: str) -> Profile:
    """The profile called `name`, or in the TOML file `name`; ProfileError if there is none, or it is wrong."""
    load: Any = getattr(importlib.import_module("emulator.timing"), "load_profile", None)
    if load is None:
        return Profile(name=name, flat=name == "simple")
    loaded: Profile = load(name)
    return loaded


def timed(board: Board, core: Profile | None) -> Machine:
    """A machine whose cycles are those of `core`; untimed without one."""
    options: dict[str, Any] = {"timing": core} if MODELLED else {}
    return Machine(board, **options)
