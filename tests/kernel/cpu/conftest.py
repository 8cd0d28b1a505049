"""A booted kernel text for tests of kernel/cpu."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from emulator import Board

from .guest import Guest


@pytest.fixture
def boot() -> Iterator[Callable[..., Guest]]:
    """boot(harts=1, mode=None, **board and boot options) -> Guest; closed when the test is over."""
    made: list[Guest] = []

    def start(harts: int = 1, mode: int | None = None, bootargs: str = "", **board: Any) -> Guest:
        made.append(Guest(Board(harts=harts, **board), mode, bootargs=bootargs))
        return made[-1]

    yield start
    for guest in made:
        guest.machine.close()


@pytest.fixture
def guest(boot: Callable[..., Guest]) -> Guest:
    """One hart, Sv48."""
    return boot()
