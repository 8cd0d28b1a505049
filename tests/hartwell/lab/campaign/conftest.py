"""Campaigns that are small, and an allocator that kills whoever tries it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hartwell.lab.campaign import Plan

KILLER = """
import os
from kernel.osdk.frame_allocator import FrameAllocator

class Killer(FrameAllocator):
    def dealloc(self, paddr, size):
        if os.path.exists({trap!r}):
            os.kill(os.getpid(), 9)
        super().dealloc(paddr, size)
"""


@pytest.fixture
def plan() -> Plan:
    """Eight trials: two are of no allocator, two of a workload that is not for heaps."""
    return Plan(allocators=("buddy", "slab", "no-such"), workloads=("random", "parts"), operations=(300,), seeds=(0, 1))


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """While it is there, the killer kills."""
    path = tmp_path / "trap"
    path.touch()
    return path


@pytest.fixture
def killer(tmp_path: Path, trap: Path) -> str:
    """The SPEC of an allocator that kills its process when memory is freed."""
    path = tmp_path / "killer.py"
    path.write_text(KILLER.format(trap=str(trap)))
    return f"{path}:Killer"
