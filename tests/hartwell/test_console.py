"""The console on pipes, files, closed streams and a real terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from hartwell.console import Console

from .conftest import COMMAND, Hartwell, environment

PROMPT = '"quit" ends this.'


# --- pipes and files ----------------------------------------------------------------------------------


@pytest.fixture
def echo(flat: Callable[..., Path]) -> str:
    """An M-mode program that sends every byte back at once, and ends after a Ctrl-D."""
    return str(flat(
        0x100002B7,  # lui t0, 0x10000: the UART
        0x0052C303, 0x00137313, 0xFE030CE3,  # lbu t1, 5(t0); andi t1, t1, 1; beqz t1, .-8
        0x0002C303, 0x00628023,  # lbu t1, 0(t0); sb t1, 0(t0)
        0x00400393, 0xFE7314E3,  # li t2, 4; bne t1, t2, .-24
        0x001002B7, 0x00005337, 0x5553031B, 0x0062A023))  # pass


@pytest.mark.parametrize("size", [1000, 100_000, 3_000_000])
def test_every_byte_from_a_pipe_reaches_the_guest_and_comes_back(tmp_path: Path, echo: str, size: int) -> None:
    data = bytes(number * 7 % 256 if number * 7 % 256 != 4 else 5 for number in range(size)) + b"\x04"
    done = subprocess.run([*COMMAND, "boot", "--bios", "none", echo], cwd=tmp_path, env=environment(), input=data,
                          capture_output=True, check=True, timeout=60)
    assert done.stdout == data


def test_input_from_a_file_gives_the_same_run_every_time(tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(b"one\ntwo\nquit\n")

    def run() -> bytes:
        with (tmp_path / "input").open("rb") as source:
            return subprocess.run([*COMMAND, "boot", "uart-echo", "--json"], stdin=source, capture_output=True,
                                  env=environment(), check=True, timeout=60).stdout

    first = run()
    assert "one" in json.loads(first)["console"]
    assert run() == first


def test_end_of_a_pipe_leaves_a_waiting_guest_in_a_deadlock(hartwell: Hartwell) -> None:
    done = hartwell("boot", "uart-echo", stdin=b"hello\n")
    assert done.code == 4
    assert "hello" in done.out


@pytest.mark.parametrize("redirection", ["<&-", "</dev/null"])
def test_no_input_is_a_deadlock_for_a_guest_that_waits_for_it(tmp_path: Path, redirection: str) -> None:
    done = subprocess.run(["sh", "-c", f'"$@" {redirection}', "sh", *COMMAND, "boot", "uart-echo"], cwd=tmp_path,
                          env=environment(), capture_output=True, check=False, timeout=60)
    assert done.returncode == 4


def test_live_pipe_gets_answers_before_it_ends(tmp_path: Path) -> None:
    with subprocess.Popen([*COMMAND, "boot", "uart-echo"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          cwd=tmp_path, env=environment()) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        seen = b""
        for line in (b"first\n", b"second\n", b"quit\n"):
            time.sleep(0.2)
            process.stdin.write(line)
            process.stdin.flush()
            while line.strip() not in seen:
                assert select.select([process.stdout], [], [], 20)[0], seen
                seen += os.read(process.stdout.fileno(), 4096)
        assert process.wait(timeout=20) == 0


def test_waiting_for_a_live_pipe_takes_no_processor_time(tmp_path: Path) -> None:
    with subprocess.Popen([*COMMAND, "boot", "uart-echo"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          cwd=tmp_path, env=environment()) as process:
        wait_for_output(process, PROMPT.encode())
        before = processor_seconds(process.pid)
        time.sleep(1)
        assert processor_seconds(process.pid) - before < 0.2
        process.kill()


def test_input_that_the_guest_does_not_read_stays_in_the_pipe() -> None:
    """`yes | hartwell boot bad-loop` must not fill the host's memory."""
    source, sink = os.pipe()
    unread = 0
    console = Console(1_000_000_000, lambda: unread, stdin=source)
    os.write(sink, b"typed")
    assert console.poll is not None
    unread = 1 << 20
    assert console.poll(0) == b""
    unread = 0
    assert console.poll(0) == b"typed"
    os.close(sink)
    assert console.poll(-1) is None
    os.close(source)


def test_reader_that_goes_away_ends_the_run_quietly(tmp_path: Path) -> None:
    script = '"$@" | head -n 1; echo ${PIPESTATUS[0]}'
    done = subprocess.run(["bash", "-c", script, "bash", *COMMAND, "boot", "uart-echo"], cwd=tmp_path,
                          env=environment(), input=b"x\n" * 300_000, capture_output=True, check=True, timeout=60)
    assert done.stderr == b""
    assert done.stdout.splitlines()[-1] == b"141"


def test_full_disk_behind_stdout_is_one_line(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*COMMAND, "boot", "hello"], cwd=tmp_path, env=environment(), stdin=subprocess.DEVNULL,
                              stdout=full, stderr=subprocess.PIPE, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (1, b"hartwell: error: No space left on device\n")


def test_closed_stdout_does_not_end_up_in_a_file_of_ours(tmp_path: Path) -> None:
    command = [*COMMAND, "boot", "hello", "--trace", "traps", "--trace-file", "t"]
    done = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *command], cwd=tmp_path, env=environment(),
                          stdin=subprocess.DEVNULL, check=False, timeout=60)
    assert done.returncode == 0
    assert "Hello" not in (tmp_path / "t").read_text()


def test_interrupt_ends_a_run_with_130_and_its_report(tmp_path: Path) -> None:
    with subprocess.Popen([*COMMAND, "boot", "bad-loop", "--max-insns", "1000G", "--json"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=environment()) as process:
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()  # if it goes on, it does so for hours
    assert process.returncode == 130
    assert err == b"hartwell: ended by the user\n"
    assert json.loads(out)["reason"] == "interrupted"


# --- a terminal ---------------------------------------------------------------------------------------


class Session:
    """A command on a terminal of its own, as a login would have it."""

    def __init__(self, command: list[str], cwd: Path) -> None:
        self.master, self._slave = pty.openpty()
        self.before = self.mode()
        self.process = subprocess.Popen(
            command, stdin=self._slave, stdout=self._slave, stderr=self._slave, cwd=cwd, env=environment(),
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))  # noqa: PLW1509 - there are no threads here
        self.screen = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self._slave)

    def mode(self) -> list[Any]:
        """The terminal's settings."""
        return termios.tcgetattr(self._slave)

    @property
    def raw(self) -> bool:
        """Whether keys go through unprocessed."""
        return not self.mode()[3] & (termios.ICANON | termios.ISIG | termios.ECHO)

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def expect(self, text: str, timeout: float = 20) -> str:
        """Wait until `text` is on the screen; everything up to and with it."""
        until = time.monotonic() + timeout
        wanted = text.encode()
        while wanted not in self.screen:
            assert time.monotonic() < until, self.screen
            if select.select([self.master], [], [], 0.1)[0]:
                self.screen += os.read(self.master, 4096)
        seen, _, self.screen = self.screen.partition(wanted)
        return (seen + wanted).decode()

    def wait(self) -> int:
        """The exit code; output is read meanwhile, lest the process waits for room."""
        until = time.monotonic() + 20
        while self.process.poll() is None:
            assert time.monotonic() < until
            if select.select([self.master], [], [], 0.05)[0]:
                self.screen += os.read(self.master, 4096)
        return self.process.returncode


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    @contextmanager
    def open_session(*arguments: str) -> Iterator[Session]:
        with Session([*COMMAND, *arguments], tmp_path) as session:
            yield session

    yield open_session


def test_keys_go_to_the_guest_one_by_one_and_ctrl_c_too(terminal: Callable[..., Any], echo: str) -> None:
    with terminal("boot", "--bios", "none", echo) as session:
        while not session.raw:
            time.sleep(0.01)
        for key in ("a", "b", "\x03", "\x1a", "\x1c", "\r", "c"):
            session.type(key.encode())
            session.expect(key)
        session.type(b"\x04")
        assert session.wait() == 0
        assert session.mode() == session.before


def test_ctrl_a_x_ends_the_run_with_0_and_restores_the_terminal(terminal: Callable[..., Any]) -> None:
    with terminal("boot", "uart-echo") as session:
        session.expect(PROMPT)
        session.type(b"\x01x")
        assert session.wait() == 0
        assert session.mode() == session.before


def test_ctrl_a_x_ends_a_guest_that_never_waits(terminal: Callable[..., Any]) -> None:
    with terminal("boot", "bad-loop", "--max-insns", "1000G") as session:
        session.expect("next stage")
        session.type(b"\x01x")
        assert session.wait() == 0


def test_ctrl_a_h_shows_the_keys_and_the_run_goes_on(terminal: Callable[..., Any]) -> None:
    with terminal("boot", "uart-echo") as session:
        session.expect(PROMPT)
        session.type(b"\x01h")
        session.expect("Ctrl-A x       end the run\r\n")
        session.type(b"quit\r")
        assert session.wait() == 0


def test_ctrl_a_twice_is_one_ctrl_a_for_the_guest_and_ctrl_a_other_nothing(terminal: Callable[..., Any]) -> None:
    with terminal("boot", "uart-echo") as session:
        session.expect(PROMPT)
        session.type(b"<\x01\x01>\x01z.\r")
        assert "<\x01>." in session.expect(".")


def test_mistake_leaves_the_terminal_alone(terminal: Callable[..., Any]) -> None:
    with terminal("boot", "helo") as session:
        assert session.wait() == 2
        assert session.mode() == session.before


def test_guest_that_fails_leaves_the_terminal_as_it_was(terminal: Callable[..., Any]) -> None:
    with terminal("boot", "bad-traploop") as session:
        assert session.wait() == 5
        assert session.mode() == session.before
        assert "hartwell: hart 0 is in a trap loop" in session.screen.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
@pytest.mark.parametrize("image", ["uart-echo", "bad-loop"], ids=["waiting", "running"])
def test_signal_that_ends_the_process_restores_the_terminal_first(
        terminal: Callable[..., Any], number: signal.Signals, image: str) -> None:
    with terminal("boot", image, "--max-insns", "1000G") as session:
        session.expect("next stage")
        while not session.raw:
            time.sleep(0.01)
        session.process.send_signal(number)
        assert session.wait() == -number
        assert session.mode() == session.before


def test_suspended_run_gives_the_terminal_to_the_shell_and_takes_it_again(tmp_path: Path) -> None:
    with Session(["bash", "--norc", "--noediting", "-i"], tmp_path) as session:
        session.type(f"PS1='shell'\"> \"; {' '.join(COMMAND)} boot uart-echo\n".encode())
        session.expect(PROMPT)
        assert session.raw
        shell = session.process.pid
        (child,) = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
        os.kill(int(child), signal.SIGTSTP)
        session.expect("Stopped")
        assert not session.raw
        session.expect("shell> ")
        session.type(b"fg\n")
        session.expect("boot uart-echo\r\n")
        while not session.raw:
            time.sleep(0.01)
        session.type(b"again\r")
        session.expect("again")
        session.type(b"\x01x")
        session.expect("shell> ")
        assert not session.raw


def test_run_in_the_background_of_a_terminal_is_not_stopped(tmp_path: Path) -> None:
    with Session(["bash", "--norc", "--noediting", "-i"], tmp_path) as session:
        session.type(f"{' '.join(COMMAND)} boot hello & wait $!; echo code-$?\n".encode())
        session.expect("This is hart 0, in S-mode.")
        session.expect("code-0")


def test_idle_machine_on_a_terminal_waits_in_real_time(terminal: Callable[..., Any], flat: Callable[..., Path]) -> None:
    """A program that waits for its timer 0.5 s ahead, and ends: 0.5 s on a terminal, at once without one."""
    program = flat(
        0x0200C2B7, 0xFF82B303,  # lui t0, 0x200c; ld t1, -8(t0): mtime
        0x004C53B7, 0xB403839B,  # lui t2, 0x4c5; addiw t2, t2, -1216: 5,000,000 ticks of 0.1 us
        0x00730333,  # add t1, t1, t2
        0x020042B7, 0x0062B023,  # lui t0, 0x2004; sd t1, 0(t0): mtimecmp
        0x08000393, 0x30439073,  # li t2, 128; csrw mie, t2: MTIE
        0x10500073,  # wfi
        0x001002B7, 0x00005337, 0x5553031B, 0x0062A023)  # pass
    with terminal("boot", "--bios", "none", str(program)) as session:
        started = time.monotonic()
        while not session.raw:
            assert time.monotonic() - started < 20
            time.sleep(0.002)
        started = time.monotonic()
        assert session.wait() == 0
        assert 0.35 < time.monotonic() - started < 3


def wait_for_output(process: subprocess.Popen[bytes], text: bytes) -> None:
    assert process.stdout is not None
    seen = b""
    while text not in seen:
        assert select.select([process.stdout], [], [], 20)[0], seen
        seen += os.read(process.stdout.fileno(), 4096)


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
