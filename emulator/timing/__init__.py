"""Timing: how many cycles a real core would have taken.

`Machine(board, timing=load_profile("rocket"))` counts cycles with a model of that core; without a
profile a cycle is an instruction, and nothing here is loaded but the events' numbers (`events`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .profile import Profile
    from .profile_file import load_profile
    from .stats import HartStats, Stats
    from .timing import HostAccess

__all__ = ["HartStats", "HostAccess", "Profile", "Stats", "load_profile"]

_HOMES = {"HartStats": "stats", "HostAccess": "timing", "Profile": "profile", "Stats": "stats",
          "load_profile": "profile_file"}


def __getattr__(name: str) -> object:
    """Import what is asked for, only then: `boot` without timing needs `events` alone."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
