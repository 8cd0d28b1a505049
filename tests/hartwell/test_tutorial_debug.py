"""The sessions of docs/tutorial-debug.md, command by command, with both debuggers; `test_docs` has its other blocks.

A ```hartwell block is a piece of a session of `hartwell debug slab-corruption`, a ```gdb block one of gdb-multiarch's;
commands stand behind the prompt, `...` is anything. The blocks of a kind are one session.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

import pytest

from tests.helpers.gdb import PROGRAM, QUIET, needs_gdb

from .conftest import COMMAND, ROOT, environment
from .test_docs import FENCE, matches

PAGE = ROOT / "docs/tutorial-debug.md"
IMAGE = "images/slab-corruption/slab-corruption.elf"
MARK = "@@@@"
"""What the debuggers print between two commands."""


@dataclass(frozen=True)
class Shown:
    """A command of a session, and what the page says it prints."""

    command: str
    output: str


def session(kind: str, prompt: str) -> list[Shown]:
    """The page's session with a debugger."""
    text = "".join(body for found, _, body in FENCE.findall(PAGE.read_text()) if found == kind)
    parts = re.split(rf"^{re.escape(prompt)} ", text, flags=re.M)
    assert parts[0] == ""
    return [Shown(*part.split("\n", 1)) for part in parts[1:]]


def compare(shown: list[Shown], printed: str) -> None:
    """An AssertionError unless the debugger, which printed a MARK before each command, printed what the page says."""
    answers = re.split(rf"^{MARK}\n+", printed.replace("\r", ""), flags=re.M)[1:]
    for one, answer in zip(shown, answers, strict=True):
        clean = "\n".join(line.rstrip() for line in answer.splitlines())
        assert matches(one.output, clean), f"{one.command}\n{clean}\n--- but the page says:\n{one.output}"


def test_hartwell_debug_finds_the_instruction_as_the_page_says() -> None:
    shown = session("hartwell", "(hartwell)")
    assert [one.command for one in shown if one.command in ("last-write messages+16", "reverse-continue")] == [
        "last-write messages+16", "reverse-continue"]
    script = "".join(f"echo {MARK}\\n\n{one.command}\n" for one in shown)
    done = subprocess.run([*COMMAND, "debug", "slab-corruption"], input=script, cwd=ROOT, env=environment(),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=100, check=False)
    compare(shown, done.stdout)
    assert done.returncode == 0


@needs_gdb
def test_gdb_finds_the_instruction_as_the_page_says() -> None:
    shown = session("gdb", "(gdb)")
    assert "reverse-continue" in [one.command for one in shown]
    with subprocess.Popen([*COMMAND, "boot", "slab-corruption", "--gdb", "0", "-S"], env=environment(), text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
        try:
            assert server.stderr is not None
            said = server.stderr.readline()
            while "gdb server at" not in said:
                assert said, "the server said nothing"
                said = server.stderr.readline()
            port = re.search(r"127\.0\.0\.1:(\d+)", said)
            assert port is not None
            commands = [one.command.replace(":1234", f":{port[1]}") for one in shown]
            line = [str(PROGRAM), "-q", "-batch", "-nx", *(part for setting in QUIET for part in ("-iex", setting)),
                    *(part for one in commands for part in ("-ex", f"echo {MARK}\\n", "-ex", one)), IMAGE]
            done = subprocess.run(line, stdin=subprocess.DEVNULL, cwd=ROOT, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, timeout=100, check=False)
            compare(shown, done.stdout)
            console, _ = server.communicate(timeout=60)
        finally:
            server.kill()
    assert console.replace("\r", "").endswith("all messages received, 0 left\n")
    assert server.returncode == 0


def test_a_page_that_says_something_else_is_noticed() -> None:
    shown = [Shown("x/xg messages", "0x1:\t0x2\n"), Shown("quit", "")]
    compare(shown, f"{MARK}\n0x1:\t0x2\n{MARK}\n")
    for other in (f"{MARK}\n0x1:\t0x3\n{MARK}\n", f"{MARK}\n0x1:\t0x2\n{MARK}\nmore\n"):
        with pytest.raises(AssertionError, match="but the page says"):
            compare(shown, other)
    with pytest.raises(ValueError, match="shorter"):
        compare(shown, f"{MARK}\n0x1:\t0x2\n")
