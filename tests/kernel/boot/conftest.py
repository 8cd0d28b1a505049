"""Real machines, with a kernel's image in their memory and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from emulator import Machine
from tests.kernel.boot.boards import Bare, bare


@pytest.fixture
def make() -> Iterator[Callable[..., Bare]]:
    """Makes a Bare from a Board's arguments; all are closed in the end."""
    made: list[Machine] = []

    def make(**board: object) -> Bare:
        one = bare(**board)
        made.append(one.machine)
        return one

    yield make
    for machine in made:
        machine.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Bare]:
    """One small machine for all examples of a Hypothesis test."""
    one = bare(memory=16 << 20)
    yield one
    one.machine.close()
