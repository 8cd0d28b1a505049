"""A forked command is what a new process is: the same output, errors and exit code."""

from __future__ import annotations

import pytest

from .conftest import Hartwell


@pytest.mark.parametrize("arguments", [
    "--version", "--help", "boot --help", "boot hello", "boot hello --json", "boot bad-loop --max-insns 100k",
    "boot hello --trace traps", "boot nothing", "boot hello --smp 9", "stats hello", "memmap", "frames --type",
])
def test_fork_does_what_a_new_process_does(hartwell: Hartwell, fresh: Hartwell, arguments: str) -> None:
    assert hartwell(*arguments.split()) == fresh(*arguments.split())
