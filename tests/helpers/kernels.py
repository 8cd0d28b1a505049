"""Kernels for tests: booted for real, on machines as small as the test can do with.

A conftest makes the fixtures known with `from tests.helpers.kernels import kernel, mm`. A test that wants
another machine asks for one with `@pytest.mark.board(harts=2, memory=64 << 20)`.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from emulator import Board, Machine
from kernel import Choices, Kernel
from kernel.mm import Mm

SMALL = 32 << 20
"""Bytes of memory of a test's machine: the metadata then begins with the memory, which saves 32 MiB."""


def boot(choices: Choices | None = None, *, memory: int = SMALL, harts: int = 1, **board: object) -> Kernel:
    """A kernel on a new machine."""
    return Kernel.boot(Machine(Board(memory=memory, harts=harts, **board)), choices)  # type: ignore[arg-type]


@pytest.fixture
def kernel(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    """A kernel with one CPU and 32 MiB, or as the mark `board` says."""
    mark = request.node.get_closest_marker("board")
    booted = boot(**(mark.kwargs if mark is not None else {}))
    yield booted
    gc.collect()
    booted.close()


@pytest.fixture
def mm(kernel: Kernel) -> Mm:
    """The kernel's memory manager."""
    return kernel.mm
