"""The command as a user has it: a process with arguments, standard streams and an exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "hartwell"]


@dataclass(frozen=True)
class Result:
    """What a run of the command left behind."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line on stderr; the test fails if there are more, or none."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("hartwell: ")
        return lines[0].removeprefix("hartwell: ")


Hartwell = Callable[..., Result]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a command: this checkout, whatever is installed."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", "HARTWELL_DEBUG": "", **(extra or {})}


@pytest.fixture(scope="session", autouse=True)
def native_code_is_compiled() -> None:
    """The very first start on a host says that it compiles; not in the middle of a test."""
    from emulator.machine import Machine
    from emulator.timing import load_profile

    Machine(timing=load_profile("rocket")).close()


@pytest.fixture
def hartwell(tmp_path: Path) -> Hartwell:
    """Runs the command in an empty folder; `stdin` is bytes for a pipe, or nothing for /dev/null."""

    def run(*arguments: str | Path, stdin: bytes | None = None, timeout: float = 60,
            env: Mapping[str, str] | None = None) -> Result:
        source = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        done = subprocess.run([*COMMAND, *map(str, arguments)], cwd=tmp_path, env=environment(env), timeout=timeout,
                              capture_output=True, check=False, **source)  # type: ignore[call-overload]
        return Result(done.returncode, done.stdout.decode("utf-8", "backslashreplace"), done.stderr.decode())

    return run


@pytest.fixture
def flat(tmp_path: Path) -> Callable[..., Path]:
    """Writes 32-bit instructions to a flat binary in the test's folder."""

    def write(*words: int, name: str = "prog.bin") -> Path:
        path = tmp_path / name
        path.write_bytes(b"".join(word.to_bytes(4, "little") for word in words))
        return path

    return write
