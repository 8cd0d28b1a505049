"""The command as a user has it: a process with arguments, standard streams and an exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

import pytest

from .forkserver import ROOT, ForkServer

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


@pytest.fixture(scope="session")
def forks() -> Iterator[ForkServer]:
    """Where commands come from that need no new Python."""
    with TemporaryDirectory() as folder:
        server = ForkServer(environment(), Path(folder))
        yield server
        server.close()


@pytest.fixture
def fresh(tmp_path: Path) -> Hartwell:
    """Runs the command in an empty folder; `stdin` is bytes for a pipe, or nothing for /dev/null."""

    def run(*arguments: str | Path, stdin: bytes | None = None, timeout: float = 60,
            env: Mapping[str, str] | None = None) -> Result:
        source = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        done = subprocess.run([*COMMAND, *map(str, arguments)], cwd=tmp_path, env=environment(env), timeout=timeout,
                              capture_output=True, check=False, **source)  # type: ignore[call-overload]
        return Result(done.returncode, done.stdout.decode("utf-8", "backslashreplace"), done.stderr.decode())

    return run


def forked(forks: ForkServer, folder: Path, module: str, arguments: Iterable[str | Path], stdin: bytes | None = None,
           timeout: float = 60) -> Result:
    """`python -m module`, from a fork; `stdin` is bytes for a pipe, which has room for 64 KiB."""
    read, write = os.pipe()
    os.write(write, stdin or b"")
    os.close(write)
    with TemporaryFile() as out, TemporaryFile() as err, open(os.devnull, "rb") as null, open(read, "rb") as pipe:
        streams = null.fileno() if stdin is None else pipe.fileno(), out.fileno(), err.fileno()
        with forks.run([*map(str, arguments)], folder, environment(), streams, module) as answers:
            child = int(answers.recv(16))
            answers.settimeout(timeout)
            try:
                code = int(answers.recv(16))
            except TimeoutError:
                os.kill(child, signal.SIGKILL)
                raise
        for stream in (out, err):
            stream.seek(0)
        return Result(code, out.read().decode("utf-8", "backslashreplace"), err.read().decode())


@pytest.fixture
def hartwell(forks: ForkServer, fresh: Hartwell, tmp_path: Path) -> Hartwell:
    """The same as `fresh`, from a fork where that is the same: without an environment of its own."""

    def run(*arguments: str | Path, stdin: bytes | None = None, timeout: float = 60,
            env: Mapping[str, str] | None = None) -> Result:
        if env is not None or len(stdin or b"") > 1 << 16:
            return fresh(*arguments, stdin=stdin, timeout=timeout, env=env)
        return forked(forks, tmp_path, "hartwell", arguments, stdin, timeout)

    return run


@pytest.fixture
def flat(tmp_path: Path) -> Callable[..., Path]:
    """Writes 32-bit instructions to a flat binary in the test's folder."""

    def write(*words: int, name: str = "prog.bin") -> Path:
        path = tmp_path / name
        path.write_bytes(b"".join(word.to_bytes(4, "little") for word in words))
        return path

    return write
