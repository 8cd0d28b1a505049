"""docs/tutorial-lab.md, block by block and in order: commands, the debugger's session, and GDB's.

```console blocks are `test_docs`'s; the ```hartwell blocks are one session of `hartwell debug --replay bug.replay`,
which is begun where the first of them is; ```gdb blocks are one session of gdb-multiarch with its server.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helpers.gdb import PROGRAM, QUIET

from .conftest import ROOT
from .forkserver import ForkServer
from .test_docs import FENCE, check, prepare
from .test_tutorial_debug import MARK, Shown, compare

PAGE = ROOT / "docs/tutorial-lab.md"
REPLAY = ["debug", "--replay", "bug.replay"]
needs_cross = pytest.mark.skipif(shutil.which("riscv64-unknown-elf-gcc") is None, reason="no cross compiler")


def blocks(*kinds: str) -> list[tuple[str, str, str]]:
    """The page's blocks of these kinds, each its kind, what is behind it, and its text."""
    return [found for found in FENCE.findall(PAGE.read_text()) if found[0] in kinds]


def session(kind: str, prompt: str) -> list[Shown]:
    """The page's session with a debugger."""
    parts = re.split(rf"^{re.escape(prompt)} ", "".join(body for _, _, body in blocks(kind)), flags=re.M)
    assert parts[0] == ""
    return [Shown(*part.split("\n", 1)) for part in parts[1:]]


def fenced(kind: str, extra: str, body: str) -> str:
    """A block as the page has it."""
    return f"```{kind} {extra}\n{body}```\n" if extra else f"```{kind}\n{body}```\n"


@needs_cross
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_students_path(tmp_path: Path, forks: ForkServer) -> None:
    env = prepare(tmp_path, forks)
    shown, begun = session("hartwell", "(hartwell)"), False
    for kind, extra, body in blocks("console", "hartwell"):
        if kind == "console" and extra == "cross":
            check(fenced(kind, extra, body), tmp_path, env, set())
        elif kind == "hartwell" and not begun:
            begun = True
            script = "".join(f"echo {MARK}\\n\n{one.command}\n" for one in shown)
            done = subprocess.run(["bin/hartwell", *REPLAY], input=script, cwd=tmp_path, env=env,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=100, check=False)
            compare(shown, done.stdout)
            assert done.returncode == 0
            if PROGRAM is not None:
                with_gdb(tmp_path, env)
    assert begun and "reverse-step 3" in [one.command for one in shown]


def with_gdb(folder: Path, env: dict[str, str]) -> None:
    """The page's session with GDB."""
    shown = session("gdb", "(gdb)")
    assert "reverse-continue" in [one.command for one in shown]
    with subprocess.Popen(["bin/hartwell", *REPLAY, "--gdb", "0"], env=env, text=True, cwd=folder,
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as server:
        try:
            assert server.stderr is not None
            port = re.search(r"127\.0\.0\.1:(\d+)", server.stderr.readline())
            assert port is not None
            commands = [one.command.replace(":1234", f":{port[1]}") for one in shown]
            line = [str(PROGRAM), "-q", "-batch", "-nx", *(part for setting in QUIET for part in ("-iex", setting)),
                    *(part for one in commands for part in ("-ex", f"echo {MARK}\\n", "-ex", one)),
                    "mine/allocator.elf"]
            done = subprocess.run(line, stdin=subprocess.DEVNULL, cwd=folder, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, timeout=100, check=False)
            compare(shown, done.stdout)
        finally:
            server.terminate()


def test_the_path_without_a_compiler(tmp_path: Path, forks: ForkServer) -> None:
    env = prepare(tmp_path, forks)
    check("".join(fenced(*block) for block in blocks("python", "console")), tmp_path, env, {"cross"})
