"""lldb, where it is installed: what it prints in batch mode, talking to a machine of ours."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

PROGRAM = shutil.which("lldb")
needs_lldb = pytest.mark.skipif(PROGRAM is None, reason="lldb is not installed")
SECONDS = 60


def run(port: int, elf: Path, commands: Sequence[str]) -> list[str]:
    """Let lldb connect to a local port and obey; the lines that it printed. It leaves at the first error."""
    assert PROGRAM is not None
    line = [PROGRAM, "--batch", "--no-lldbinit", "--no-use-colors", str(elf)]
    for command in (f"gdb-remote 127.0.0.1:{port}", *commands):
        line += ["-o", command]
    done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, check=False)
    return (done.stdout + done.stderr).splitlines()
