"""`hartwell run`: programs, their streams and ends, what is shown of them, and every way to be wrong."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from hartwell import programs
from hartwell.userland import archive
from tests.guests import fetch

from .conftest import COMMAND, Hartwell, environment

COWTEST = programs.find("cowtest")
BUSYBOX = fetch.cache() / "trixie/busybox"
needs_busybox = pytest.mark.skipif(not BUSYBOX.exists(), reason="busybox is missing: tests/guests/fetch.py fetches it")


# --- what it shows --------------------------------------------------------------------------------------


def test_a_program_of_the_catalogue(hartwell: Hartwell) -> None:
    assert COWTEST is not None
    done = hartwell("run", "cowtest")
    assert (done.code, done.out, done.err) == (0, COWTEST.expected(), "")


def test_a_file(hartwell: Hartwell, tmp_path: Path) -> None:
    assert COWTEST is not None
    (tmp_path / "mine").write_bytes(COWTEST.program())
    assert hartwell("run", "./mine").out == COWTEST.expected()
    assert hartwell("run", tmp_path / "mine").out == COWTEST.expected()


def test_stats(hartwell: Hartwell) -> None:
    done = hartwell("run", "--stats", "--timing", "rocket", "cowtest")
    assert done.code == 0
    lines = [line.removeprefix("hartwell: ") for line in done.err.splitlines()]
    assert re.fullmatch(r"[\d,]+ instructions, [\d,]+ cycles \(rocket: ±[\d.]+ %\)", lines[0])
    assert re.fullmatch(r"4 processes, \d+ page faults", lines[1])
    frames = int(re.match(r"(\d+) frame and", lines[2])[1])  # type: ignore[index]
    copied = int(re.match(r"([\d,]+) bytes copied", lines[3])[1].replace(",", ""))  # type: ignore[index]
    assert frames > 3 * 128  # each of three children has 128 pages of its own
    assert copied > 3 * 128 * 4096
    assert lines[4].endswith("frames free, as before")


def test_json(hartwell: Hartwell) -> None:
    assert COWTEST is not None
    done = hartwell("run", "--json", "--stats", "cowtest")
    told = json.loads(done.out)
    assert (told["reason"], told["exit_code"], told["signal"]) == ("exited", 0, None)
    assert told["output"] == COWTEST.expected()
    assert told["free_frames_before"] == told["free_frames_after"]
    assert told["taken"]["frame_allocations"] == told["taken"]["frame_deallocations"] > 384
    assert told["taken"]["peak_bytes"] > 3 * 128 * 4096
    assert hartwell("run", "--json", "--stats", "cowtest").out == done.out


def test_ramfs_both(hartwell: Hartwell) -> None:
    done = hartwell("run", "--ramfs", "both", "cowtest")
    assert done.code == 0
    rows = {line.split("  ")[0]: line.split()[-4:] for line in done.out.splitlines()[5:]}
    assert list(rows)[:4] == ["frame allocations", "heap allocations", "bytes copied", "bytes filled"]
    told = json.loads(hartwell("run", "--ramfs", "both", "--json", "cowtest").out)
    assert told["heap"]["instructions"] == told["frames"]["instructions"]
    assert told["heap"]["profile"] == "rocket"


def test_strace(hartwell: Hartwell) -> None:
    done = hartwell("run", "--strace", "mmaptest")
    lines = done.err.splitlines()
    assert any(re.fullmatch(r"\[1\] mmap\(NULL, \d+, PROT_READ\|PROT_WRITE, MAP_PRIVATE\|MAP_ANONYMOUS, -1, 0\) = "
                            r"0x[0-9a-f]+", line) for line in lines)
    assert any("O_RDWR|O_CREAT" in line for line in lines)
    assert any("wait4(" in line and line.endswith(f"= {pid}") for line in lines for pid in (2, 3))
    assert lines[-1] == "[1] exit_group(0) = ?" or lines[-1] == "[1] exit(0) = ?"


def test_calls_that_nobody_answers_are_listed(hartwell: Hartwell, tmp_path: Path) -> None:
    (tmp_path / "asks").write_bytes(program(["li a7, 167", "ecall", "li a7, 9999", "ecall", "sub a0, zero, a0"]))
    done = hartwell("run", "--strace", "./asks")
    assert done.code == 38
    assert "[1] prctl(" in done.err and "= -1 ENOSYS (Function not implemented)" in done.err
    assert done.err.splitlines()[-1] == "hartwell: not answered here (ENOSYS): prctl (1), syscall_0x400 or more (1)"


# --- streams --------------------------------------------------------------------------------------------


def busybox(*arguments: str, options: Sequence[str] = ()) -> list[str]:
    return [*COMMAND, "run", *options, str(BUSYBOX), *arguments]


@needs_busybox
@pytest.mark.guest
def test_arguments_streams_and_code_are_the_programs(tmp_path: Path) -> None:
    done = subprocess.run(busybox("sh", "-c", "cat; echo oops >&2; exit 7", "-x"), input=b"given\n", cwd=tmp_path,
                          env=environment(), capture_output=True, check=False, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == (b"given\n", b"oops\n", 7)


@needs_busybox
@pytest.mark.guest
def test_every_byte_of_a_file_goes_in_and_comes_back(tmp_path: Path) -> None:
    data = bytes(number * 7 % 256 for number in range(300_000))
    (tmp_path / "data").write_bytes(data)
    with (tmp_path / "data").open("rb") as source:
        done = subprocess.run(busybox("cat"), stdin=source, env=environment(), capture_output=True, check=True,
                              timeout=60)
    assert done.stdout == data


@needs_busybox
@pytest.mark.guest
def test_a_pipe_is_read_as_it_comes(tmp_path: Path) -> None:
    with subprocess.Popen(busybox("sh", "-c", "while read x; do echo \"<$x>\"; done"), env=environment(),
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        for word in (b"one", b"two"):
            process.stdin.write(word + b"\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"<" + word + b">\n"
        process.stdin.close()
        assert process.wait(30) == 0


@needs_busybox
@pytest.mark.guest
def test_files_and_links_are_there(hartwell: Hartwell, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("b\na\n")
    done = hartwell("run", "--file", "list:/etc/list", "--link", "sort,cat", "--env", "WHO=me", BUSYBOX, "sh", "-c",
                    "sort /etc/list; echo $WHO $PATH")
    assert done.out == "a\nb\nme /bin\n"


@needs_busybox
@pytest.mark.guest
def test_a_program_of_the_archive(hartwell: Hartwell, tmp_path: Path) -> None:
    (tmp_path / "root.cpio").write_bytes(archive.pack(archive.program("busybox", BUSYBOX.read_bytes(), ["echo"])))
    assert hartwell("run", "--initrd", "root.cpio", "/bin/echo", "hello").out == "hello\n"


# --- a terminal -----------------------------------------------------------------------------------------


class Screen:
    """The other side of a terminal."""

    def __init__(self, pid: int, fd: int) -> None:
        self.pid, self._fd, self._seen = pid, fd, b""

    def type(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    def expect(self, text: bytes, seconds: float = 30) -> bytes:
        """What is shown up to `text`."""
        ends = time.monotonic() + seconds
        while text not in self._seen:
            assert time.monotonic() < ends, (text, self._seen)
            if select.select([self._fd], [], [], 0.1)[0]:
                try:
                    self._seen += os.read(self._fd, 4096)
                except OSError:
                    pytest.fail(f"ended without {text!r}: {self._seen!r}")
        shown, _, self._seen = self._seen.partition(text)
        return shown

    def code(self) -> int:
        """How it ended."""
        with_end = os.waitpid(self.pid, 0)[1]
        return os.waitstatus_to_exitcode(with_end)


@contextmanager
def terminal(command: Sequence[str]) -> Iterator[Screen]:
    """A command on a terminal of its own."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(command[0], list(command), environment({"TERM": "dumb"}))
    screen = Screen(pid, fd)
    try:
        yield screen
    finally:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        os.close(fd)


@needs_busybox
@pytest.mark.guest
@pytest.mark.slow
def test_a_shell_at_a_terminal() -> None:
    with terminal(busybox("sh", options=["--link", "cat,sleep"])) as screen:
        screen.expect(b"/ # ")
        screen.type(b"echo he''llo\r")
        screen.expect(b"\r\nhello\r\n")
        screen.expect(b"/ # ")
        screen.type(b"echo now; cat\r")
        screen.expect(b"\r\nnow\r\n")  # from here on the shell edits no more, the kernel does
        screen.type(b"abx\x7fc\r")
        screen.expect(b"x\x08 \x08c\r\nabc\r\n")  # what was typed, with the correction; then what cat has read
        screen.type(b"\x04")
        screen.expect(b"/ # ")
        for command in (b"cat", b"sleep 1000", b"while :; do :; done"):
            screen.type(b"echo now; " + command + b"\r")
            screen.expect(b"\r\nnow\r\n")
            time.sleep(0.3)
            screen.type(b"\x03")
            screen.expect(b"^C")
            screen.expect(b"/ # ")
        screen.type(b"echo $?\r")
        screen.expect(b"\r\n130\r\n")
        screen.type(b"exit 5\r")
        assert screen.code() == 5


@needs_busybox
@pytest.mark.guest
@pytest.mark.parametrize("command", ["cat", "while :; do :; done"])
def test_ctrl_a_x_ends_whatever_runs(command: str) -> None:
    with terminal(busybox("sh", "-c", f"echo begun; {command}", options=["--link", "cat"])) as screen:
        screen.expect(b"begun\r\n")
        screen.type(b"\x01x")
        screen.expect(b"hartwell: ended by Ctrl-A x")
        assert screen.code() == 0


# --- ends -----------------------------------------------------------------------------------------------


def program(lines: Sequence[str], machine: int = 243, kind: int = 2, interpreter: bool = False) -> bytes:
    """An ELF with one segment at 0x10000, whose code is `lines`, then exit(a0)."""
    code = assemble([*lines, "li a7, 93", "ecall"])
    start = 0x1000
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    fields = [(kind, 2), (machine, 2), (1, 4), (0x11000, 8), (64, 8), (0, 8), (0, 4), (64, 2), (56, 2),
              (2 if interpreter else 1, 2), (0, 2), (0, 2), (0, 2)]
    header += b"".join(value.to_bytes(size, "little") for value, size in fields)
    segments = [(1, 5, start, 0x11000, 0x11000, len(code), len(code), 4096)]
    if interpreter:
        segments.insert(0, (3, 4, start, 0x11000, 0x11000, 1, 1, 1))
    for kind_, flags, *words in segments:
        header += kind_.to_bytes(4, "little") + flags.to_bytes(4, "little")
        header += b"".join(word.to_bytes(8, "little") for word in words)
    return header.ljust(start, b"\0") + code


def assemble(lines: Sequence[str]) -> bytes:
    return b"".join(word.to_bytes(4, "little") for line in lines for word in _words(line))


def _words(line: str) -> list[int]:
    """The few instructions that these tests want."""
    name, _, rest = line.partition(" ")
    numbers = {"zero": 0, "a0": 10, "a1": 11, "a7": 17}
    operands = [operand.strip() for operand in rest.split(",")] if rest else []
    if name == "li":
        register, value = numbers[operands[0]], int(operands[1], 0)
        upper = (value + 0x800) >> 12
        return [upper << 12 & 0xFFFFF000 | register << 7 | 0x37,
                (value & 0xFFF) << 20 | register << 15 | register << 7 | 0x1B]
    if name == "sub":
        to, left, right = (numbers[operand] for operand in operands)
        return [0x40000033 | right << 20 | left << 15 | to << 7]
    return {"ecall": [0x73], "loop": [0x6F], "crash": [0x00003503]}[name]  # jal zero, 0; ld a0, 0(zero)


def test_limits(hartwell: Hartwell, tmp_path: Path) -> None:
    (tmp_path / "loops").write_bytes(program(["loop"]))
    assert (tmp_path / "calls").write_bytes(program(["li a7, 172", "ecall", "loop"]).replace(
        assemble(["loop"]), (0xFF9FF06F).to_bytes(4, "little")))  # jal zero, -8
    for name in ("loops", "calls"):
        done = hartwell("run", "--max-insns", "200k", f"./{name}")
        assert (done.code, done.error) == (3, "the limit of 200,000 instructions was reached")
        done = hartwell("run", "--timeout", "0.5", f"./{name}")
        assert (done.code, done.error) == (3, "the limit of --timeout was reached")
    told = json.loads(hartwell("run", "--json", "--max-insns", "200k", "./loops").out)
    assert (told["reason"], told["status"], told["instructions"]) == ("watchdog", None, 200_000)


def test_what_the_kernel_kills_it_names(hartwell: Hartwell, tmp_path: Path) -> None:
    (tmp_path / "crashes").write_bytes(program(["crash"]))
    done = hartwell("run", "./crashes")
    assert done.code == 139
    assert re.fullmatch(r"process 1 \(crashes\) killed: SIGSEGV at 0x11000, address 0x0: no memory is mapped there",
                        done.error)


def test_waiting_for_ever_is_a_deadlock(hartwell: Hartwell, tmp_path: Path) -> None:
    (tmp_path / "waits").write_bytes(program(["li a0, 0", "li a1, 0", "li a7, 73", "ecall"]))  # ppoll of nothing
    done = hartwell("run", "./waits")
    assert (done.code, done.error) == (4, "every process waits for something that cannot come")


@pytest.mark.parametrize(("signal_", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_signals_end_it(tmp_path: Path, signal_: signal.Signals, code: int) -> None:
    (tmp_path / "loops").write_bytes(program(["loop"]))
    with subprocess.Popen([*COMMAND, "run", "--strace", "./loops"], cwd=tmp_path, env=environment(),
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        time.sleep(4)
        process.send_signal(signal_)
        assert process.wait(20) == code


# --- mistakes -------------------------------------------------------------------------------------------

STATIC = "no static RV64 Linux program; build one with: riscv64-linux-gnu-gcc -static"


@pytest.mark.parametrize(("data", "error"), [
    (b"#!/bin/nosuch\n", "./bad: .*no such file there; --file and --initrd bring files along"),
    (b"words\n", f"./bad: magic: found 77 6f 72 64, expected an ELF file: {STATIC}"),
    (program([], machine=62), f"./bad: machine: found 62, expected 243: {STATIC}"),
    (program([], interpreter=True), r"./bad: program header 0: found an interpreter: the program is dynamically linked,"
                                    rf" expected a static program \(link with -static\): {STATIC}"),
    (program([])[:100], f"./bad: program headers at 0x40: found 36 bytes, expected 56: {STATIC}"),
])
def test_what_is_no_program_is_refused(hartwell: Hartwell, tmp_path: Path, data: bytes, error: str) -> None:
    (tmp_path / "bad").write_bytes(data)
    done = hartwell("run", "./bad")
    assert done.code == 2
    assert re.fullmatch("error: " + error, done.error), done.error


@pytest.mark.parametrize(("arguments", "error"), [
    (["nosuch"], "nosuch: no such file, and none of Hartwell's own programs, which are cowtest, forktest, .*ramfs"),
    (["./nosuch"], "program ./nosuch: no such file"),
    (["--initrd", "nosuch", "cowtest"], "--initrd nosuch: no such file"),
    (["--initrd", "damaged", "cowtest"], "--initrd: initramfs: .*expected 8 hexadecimal digits"),
    (["--initrd", "good", "/bin/nosuch"], "/bin/nosuch: no such file, neither in the archive that --initrd names nor "
                                          "on the host"),
    (["--initrd", "good", "/plain"], "/plain: /plain is no executable file: make it executable with chmod .x"),
    (["--file", "nosuch", "cowtest"], "--file nosuch: no such file"),
    (["--file", "good:x", "cowtest"], "--file good:x: 'x' is no path of a file; expected one that begins with a slash"),
    (["--env", "X", "cowtest"], "--env X: expected NAME=VALUE"),
    (["--link", "a/b", "cowtest"], "--link a/b: expected a name without a slash, for a link in /bin"),
    (["--max-insns", "0", "cowtest"], "--max-insns '0': expected a number of instructions.*"),
    (["--timeout", "-1", "cowtest"], "--timeout -1: expected a number of seconds above 0"),
    (["--ramfs", "disk", "cowtest"], "invalid value for '--ramfs': 'disk' is not one of 'heap', 'frames', 'both'.*"),
    (["-m", "8M", "--file", "large", "cowtest"], ".*give the machine more memory, with -m"),
])
def test_mistakes_are_one_line_each(hartwell: Hartwell, tmp_path: Path, arguments: list[str], error: str) -> None:
    (tmp_path / "good").write_bytes(archive.pack([archive.file("plain", b"text", 0o644)]))
    (tmp_path / "damaged").write_bytes(b"070701garbage")
    (tmp_path / "large").write_bytes(bytes(5 << 20))
    done = hartwell("run", *arguments)
    assert done.code == 2
    assert re.fullmatch("error: " + error, done.error), done.error


def test_help_teaches(hartwell: Hartwell) -> None:
    shown = hartwell("run", "--help").out
    for words in ("riscv64-linux-gnu-gcc -static", "hartwell run --ramfs both ramfs", "128 + N", "--strace", "--file"):
        assert words in shown
