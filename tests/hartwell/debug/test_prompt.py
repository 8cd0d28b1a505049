"""The prompt at a real (pseudo) terminal: keys in, screen out; and completion by itself."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hartwell.debug.completion import complete
from tests.hartwell.conftest import COMMAND, environment

from .debugger import debugging, debugging_kernel


class Terminal:
    """`hartwell debug` at a terminal of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._parent, child = pty.openpty()
        env = environment({"TERM": "xterm", "XDG_STATE_HOME": str(folder / "state"), "PROMPT_TOOLKIT_NO_CPR": "1"})
        self.process = subprocess.Popen([*COMMAND, "debug", *arguments], stdin=child, stdout=child, stderr=child,
                                        cwd=folder, env=env, start_new_session=True)
        os.close(child)
        self.screen = ""

    def until(self, *words: str, seconds: float = 40) -> str:
        """What is on the screen up to the last of `words`, which follow each other; it is then forgotten."""
        ends, seen = time.monotonic() + seconds, ""
        for word in words:
            while word not in self.screen:
                left = ends - time.monotonic()
                assert left > 0 and select.select([self._parent], [], [], left)[0], f"no {word!r} in {self.screen!r}"
                data = os.read(self._parent, 1 << 16).decode("utf-8", "replace")
                self.screen += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]", "", data)
            before, found, self.screen = self.screen.partition(word)
            seen += before + found
        return seen

    def type(self, text: str) -> None:
        os.write(self._parent, text.encode())

    def end(self) -> int:
        """Ctrl-D; the exit code."""
        self.type("\x04")
        code = self.process.wait(timeout=60)
        os.close(self._parent)
        return code


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path, "bad-loop")
    try:
        made.until("(hartwell)")
        yield made
    finally:
        made.process.kill()
        made.process.wait()


def test_commands_are_read_run_and_remembered(terminal: Terminal, tmp_path: Path) -> None:
    terminal.type("p 6 * 7\r")
    terminal.until("$1 = 42", "(hartwell)")
    terminal.type("nonsense\r")
    terminal.until("hartwell: error: ", "there is no command", "(hartwell)")
    terminal.type("si\r")
    shown = terminal.until("--- hart 0, M-mode, after 1 instructions", "(hartwell)")
    assert "--- code" in shown and "--- stack" in shown
    terminal.type("\r")  # once more
    terminal.until("after 2 instructions", "(hartwell)")
    terminal.type("rsi\r")
    terminal.until("in the past", "past)")
    assert terminal.end() == 0
    lines = (tmp_path / "state/hartwell/debug_history").read_text().splitlines()
    assert [line[1:] for line in lines if line.startswith("+")] == ["p 6 * 7", "nonsense", "si", "rsi"]


def test_the_history_is_there_the_next_time(terminal: Terminal, tmp_path: Path) -> None:
    terminal.type("echo remembered\r")
    terminal.until("remembered", "remembered", "(hartwell)")
    assert terminal.end() == 0
    other = Terminal(tmp_path, "bad-loop")
    other.until("(hartwell)")
    other.type("\x1b[A\r")
    other.until("echo remembered", "remembered", "(hartwell)")
    assert other.end() == 0


def test_tab_completes(terminal: Terminal) -> None:
    terminal.type("reverse-con\t")
    terminal.until("reverse-con", "tinue")
    terminal.type("\r")
    terminal.until("the history begins here", "(hartwell)")
    terminal.type("info regis\t")
    terminal.until("info regis", "ters")
    terminal.type(" pc\r")
    terminal.until("pc             0x0000000000001000", "(hartwell)")
    assert terminal.end() == 0


def test_ctrl_c_stops_the_run_and_not_the_debugger(terminal: Terminal) -> None:
    terminal.type("c\r")
    time.sleep(3)
    os.kill(terminal.process.pid, signal.SIGINT)
    terminal.until("interrupted", "(hartwell)")
    terminal.type("half a li\x03")
    terminal.until("(hartwell)")
    terminal.type("p 2 + 2\r")
    terminal.until("$1 = 4", "(hartwell)")
    terminal.type("rsi 5\r")
    terminal.until("in the past", "past)")
    assert terminal.end() == 0


def test_quit_ends_it_with_its_code(terminal: Terminal) -> None:
    terminal.type("quit 5\r")
    assert terminal.process.wait(timeout=60) == 5


@pytest.mark.parametrize(("text", "expected"), [
    ("brea", ["break"]), ("reverse-n", ["reverse-next", "reverse-nexti"]), ("help wat", ["watch"]),
    ("b mai", ["main"]), ("p $mste", []), ("p $mstat", ["$mstatus"]), ("x/4i put_f", ["put_field"]),
    ("p 3 + $s1", ["$s1", "$s10", "$s11"]), ("info reg", ["registers"]), ("b stage:he", []), ("nonsense ma", []),
    ("p 0x8", []), ("x/4", []), ("b main if put_f", ["put_field"]),
])
def test_completion_knows_what_may_stand_there(text: str, expected: list[str]) -> None:
    with debugging("hello") as debugger:
        length, found = complete(debugger.session, text)
        assert found == expected
        assert not found or all(word.startswith(text[len(text) - length:]) for word in found)


def test_completion_knows_stages_and_files(tmp_path: Path) -> None:
    (tmp_path / "one.cmd").touch()
    (tmp_path / "other").mkdir()
    with debugging_kernel() as debugger:
        assert complete(debugger.session, "b stage:he") == (8, ["stage:heap"])
        assert complete(debugger.session, "tb op:map")[1] == ["op:map", "op:map:done"]
        assert complete(debugger.session, f"source {tmp_path}/o")[1] == [f"{tmp_path}/one.cmd", f"{tmp_path}/other/"]
        debugger.do("set $mine = 1")
        assert complete(debugger.session, "p $min") == (4, ["$mine", "$minstret"])
