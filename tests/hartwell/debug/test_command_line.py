"""`hartwell debug` as a process: scripts, pipes, exit codes, and output that is the same every time."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.hartwell.conftest import COMMAND, Hartwell, environment

SCRIPT = """\
# goes to main and back
b main
c
info registers a0 pc
rsi
c
c
"""


def test_a_script_is_run_and_says_the_same_every_time(hartwell: Hartwell, tmp_path: Path) -> None:
    (tmp_path / "a.cmd").write_text(SCRIPT)
    done = hartwell("debug", "hello", "--command", "a.cmd", "--batch")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0] == "breakpoint 1 at 0x80200056 <main>"
    assert "\x1b" not in done.out and "\r" not in done.out
    assert "\nHello from Hartwell.\nThis is hart 0, in S-mode.\nthe guest exited with code 0\n" in done.out
    assert hartwell("debug", "hello", "--batch", "--command", "a.cmd") == done
    assert hartwell("debug", "hello", stdin=SCRIPT.encode()) == done
    lines = [part for line in SCRIPT.splitlines() for part in ("-ex", line)]
    assert hartwell("debug", "hello", "--batch", *lines) == done


def test_the_console_is_the_same_with_and_without_a_debugger(hartwell: Hartwell) -> None:
    console = hartwell("boot", "smp-pingpong").out.replace("\r", "")
    debugged = hartwell("debug", "smp-pingpong", "--batch", "-ex", "c").out
    assert debugged.startswith(console)


@pytest.mark.parametrize(("lines", "error"), [
    ("si\nnonsense\nsi\n", "error: a.cmd:2: there is no command 'nonsense': help lists them"),
    ("p nowhere\n", "error: a.cmd:1: "), ("\n\n\nb *\n", "error: a.cmd:4: "),
    ("source b.cmd\n", "error: a.cmd:1: b.cmd: No such file or directory"),
])
def test_the_first_command_that_fails_ends_a_script(
        hartwell: Hartwell, tmp_path: Path, lines: str, error: str) -> None:
    (tmp_path / "a.cmd").write_text(lines)
    done = hartwell("debug", "hello", "--command", "a.cmd", "--batch", "-ex", "echo never")
    assert done.code == 1 and done.error.startswith(error)
    assert "never" not in done.out
    assert hartwell("debug", "hello", "--command", "a.cmd", stdin=b"echo never\n").code == 1


def test_commands_of_the_line_and_of_a_pipe_name_themselves(hartwell: Hartwell) -> None:
    assert hartwell("debug", "hello", "--batch", "-ex", "si", "-ex", "nope 1").error == (
        "error: -ex nope 1:1: there is no command 'nope': help lists them")
    assert hartwell("debug", "hello", stdin=b"si\nnope\n").error.startswith("error: <stdin>:2: there is no command")
    assert hartwell("debug", "hello", "-ex", "echo first", stdin=b"echo second").out == "first\nsecond\n"
    assert hartwell("debug", "hello", stdin=b"echo \xff\n").code == 0


def test_quit_says_the_exit_code(hartwell: Hartwell) -> None:
    assert hartwell("debug", "hello", "--batch", "-ex", "quit 7", "-ex", "nonsense").code == 7
    assert hartwell("debug", "hello", stdin=b"quit\nnonsense\n").code == 0
    assert hartwell("debug", "bad-exit", "--batch", "-ex", "c").code == 0


@pytest.mark.parametrize(("arguments", "words"), [
    (["--command", "nope"], "--command nope: No such file or directory"), (["nosuchimage"], "nosuchimage"),
    (["hello", "--track"], "only Hartwell's own kernel"), (["--load", "nope"], "nope"),
    (["hello", "--directory", "nope"], "--directory nope: expected the name of a folder"),
    (["--load", "x", "-m", "1G"], "both --load and -m"), (["hello", "--max-insns", "x"], "--max-insns"),
])
def test_mistakes_on_the_command_line_run_nothing(hartwell: Hartwell, arguments: list[str], words: str) -> None:
    done = hartwell("debug", *arguments, "--batch", "-ex", "echo ran")
    assert done.code == 2 and words in done.error and done.out == ""


def test_a_snapshot_goes_on_with_the_symbols_that_are_named(hartwell: Hartwell) -> None:
    hartwell("boot", "timer", "--max-insns", "400k", "--save", "a.snap")
    done = hartwell("debug", "timer", "--load", "a.snap", "--batch", "-ex", "info history", "-ex", "b trap", "-ex", "c",
                    "-ex", "rc")
    assert done.code == 0 and "breakpoint 1: hart 0 reached" in done.out and "<trap>" in done.out
    assert "the history begins here" in done.out
    console = hartwell("boot", "--load", "a.snap").out.replace("\r", "")
    assert console in hartwell("debug", "--load", "a.snap", "--batch", "-ex", "c").out


def test_a_snapshot_of_our_kernel_can_be_looked_at(hartwell: Hartwell) -> None:
    hartwell("boot", "-m", "32M", "--save", "kernel.snap")
    done = hartwell("debug", "--load", "kernel.snap", "--batch", "-ex", "buddy", "-ex", "bt", "-ex", "c")
    assert done.code == 0
    assert done.out.startswith(hartwell("buddyinfo", "-m", "32M", "--indices").out.splitlines()[0])
    assert "service_call" in done.out and "does nothing without its Python" in done.out


def test_a_save_at_a_past_place_is_what_boot_goes_on_from(hartwell: Hartwell) -> None:
    hartwell("debug", "hello", "--batch", "-ex", "b main", "-ex", "c", "-ex", "c", "-ex", "rc", "-ex", "save a.snap")
    console = hartwell("boot", "--load", "a.snap").out
    assert console.replace("\r", "") == "Hello from Hartwell.\nThis is hart 0, in S-mode.\n"


def test_disks_stay_as_they_are(hartwell: Hartwell, tmp_path: Path) -> None:
    (tmp_path / "disk.img").write_bytes(bytes(4096))
    assert hartwell("debug", "hello", "--disk", "disk.img", "--batch", "-ex", "c").code == 0
    assert (tmp_path / "disk.img").read_bytes() == bytes(4096)


def test_a_timed_machine_goes_back_exactly(hartwell: Hartwell) -> None:
    done = hartwell("debug", "hello", "--timing", "rocket", "--batch", "-ex", "b main", "-ex", "c", "-ex", "p $mcycle",
                    "-ex", "si 20", "-ex", "p $mcycle", "-ex", "rsi 20", "-ex", "p $mcycle")
    values = [line.split()[2] for line in done.out.splitlines() if line.startswith("$")]
    assert values[0] == values[2] and int(values[1]) > int(values[0])


def test_max_insns_ends_the_run(hartwell: Hartwell) -> None:
    done = hartwell("debug", "bad-loop", "--max-insns", "1M", "--batch", "-ex", "c")
    assert done.code == 0 and "the limit of 1,000,000 instructions was reached" in done.out


def test_ctrl_c_ends_a_script(tmp_path: Path) -> None:
    lines = ["-ex", "echo begun", "-ex", "c", "-ex", "echo never"]
    with subprocess.Popen([*COMMAND, "debug", "bad-loop", "--batch", *lines], cwd=tmp_path,
                          env=environment({"PYTHONUNBUFFERED": "1"}), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(2)
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in out and "never" not in out
    assert err == "hartwell: error: -ex c:1: interrupted\n"


def test_a_reader_that_goes_away_ends_it(tmp_path: Path) -> None:
    lines = ["-ex", "help"] * 50
    done = subprocess.run(["bash", "-c", '"$@" | head -1', "-", *COMMAND, "debug", "hello", "--batch", *lines],
                          cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "Running\n" and done.stderr == ""


def test_help_teaches(hartwell: Hartwell) -> None:
    done = hartwell("debug", "--help")
    assert done.code == 0
    for words in ("A first session", "rsi", "last-write", "stage:heap", "--command", "--batch", "--track", "Ctrl-C"):
        assert words in done.out
