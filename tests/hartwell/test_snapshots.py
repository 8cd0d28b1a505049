"""`hartwell boot --save` and `--load`: a run in two parts is the run in one."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from emulator import Snapshot

from .conftest import COMMAND, Hartwell, environment


@pytest.mark.parametrize(("name", "limit"), [("timer", "400k"), ("smp-pingpong", "600k"), ("pagefault-sv48", "250k")])
def test_a_run_in_two_parts_prints_what_one_does(hartwell: Hartwell, name: str, limit: str) -> None:
    whole = hartwell("boot", name, "--json")
    first = hartwell("boot", name, "--max-insns", limit, "--save", "now.snap")
    assert first.code == 3
    second = hartwell("boot", "--load", "now.snap")
    assert first.out + second.out == json.loads(whole.out)["console"]
    assert (second.code, second.err) == (0, "")
    assert hartwell("boot", "--load", "now.snap", "--json") == whole


def test_a_run_goes_on_from_part_to_part(hartwell: Hartwell, tmp_path: Path) -> None:
    out = hartwell("boot", "timer", "--max-insns", "100k", "--save", "a.snap").out
    for _ in range(50):
        done = hartwell("boot", "--load", "a.snap", "--max-insns", "150k", "--save", "a.snap")
        out += done.out
        if done.code == 0:
            break
    assert out == hartwell("boot", "timer").out
    assert done.error == "saved in a.snap, though the guest has ended: --max-insns or Ctrl-A x would stop it before"
    assert os.listdir(tmp_path) == ["a.snap"]


def test_input_that_was_typed_before_is_there_and_more_may_be_typed(hartwell: Hartwell) -> None:
    first = hartwell("boot", "uart-echo", "--max-insns", "150k", "--save", "a.snap", stdin=b"one\ntwo\n")
    second = hartwell("boot", "--load", "a.snap", stdin=b"three\nquit\n")
    assert second.code == 0
    assert all(word in first.out + second.out for word in ("one", "two", "three"))


def test_ctrl_a_x_saves(hartwell: Hartwell, tmp_path: Path) -> None:
    import pty

    parent, child = pty.openpty()
    with subprocess.Popen([*COMMAND, "boot", "uart-echo", "--save", "a.snap"], stdin=child, stdout=child, stderr=child,
                          cwd=tmp_path, env=environment()) as process:
        os.close(child)
        seen = b""
        while b"quit" not in seen:
            seen += os.read(parent, 4096)
        os.write(parent, b"\x01x")
        assert process.wait(timeout=30) == 0
    os.close(parent)
    done = hartwell("boot", "--load", "a.snap", stdin=b"hello again\nquit\n")
    assert done.code == 0 and "hello again" in done.out


def test_ctrl_c_saves(hartwell: Hartwell, tmp_path: Path) -> None:
    import signal

    with subprocess.Popen([*COMMAND, "boot", "bad-loop", "--max-insns", "1000G", "--save", "a.snap"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=tmp_path, env=environment()) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
    assert hartwell("boot", "--load", "a.snap", "--max-insns", "1M").code == 3


def test_the_other_options_of_a_run_hold_for_its_second_part(hartwell: Hartwell) -> None:
    hartwell("boot", "timer", "--max-insns", "400k", "--save", "a.snap")
    done = hartwell("boot", "--load", "a.snap", "--trace", "traps", "--stats", "--dump-ram", "a.ram")
    assert done.code == 0 and any("S timer interrupt" in line for line in done.err.splitlines())


def test_a_disk_is_given_again(hartwell: Hartwell, tmp_path: Path) -> None:
    (tmp_path / "disk.img").write_bytes(bytes(8192))
    (tmp_path / "other.img").write_bytes(b"x" * 8192)
    hartwell("boot", "timer", "--disk", "disk.img", "--max-insns", "400k", "--save", "a.snap")
    assert hartwell("boot", "--load", "a.snap", "--disk", "disk.img").code == 0
    for options, words in (
        ([], "error: --load a.snap: slot 0: nothing here, a disk in the snapshot"),
        (["--disk", "other.img"], "error: --load a.snap: disk other.img: its contents are others than"),
    ):
        done = hartwell("boot", "--load", "a.snap", *options)
        assert (done.code, done.out) == (2, "") and done.error.startswith(words)


def test_our_own_kernel_is_saved_for_python(hartwell: Hartwell, tmp_path: Path) -> None:
    from kernel import Kernel
    from kernel.mm.check import check

    assert hartwell("boot", "-m", "32M", "--save", "kernel.snap").code == 0
    done = hartwell("boot", "--load", "kernel.snap")
    assert done.code == 2 and "Hartwell's own kernel is in it" in done.error

    machine = Snapshot.load(tmp_path / "kernel.snap").machine()
    with Kernel.attach(machine) as kernel:
        check(kernel.mm)
        kernel.log("still here")
    machine.close()


def test_a_damaged_snapshot_is_one_line(hartwell: Hartwell, tmp_path: Path) -> None:
    hartwell("boot", "hello", "--max-insns", "200k", "--save", "a.snap")
    data = (tmp_path / "a.snap").read_bytes()
    (tmp_path / "a.snap").write_bytes(data[:3000] + b"?" + data[3001:])
    done = hartwell("boot", "--load", "a.snap")
    assert (done.code, done.out) == (2, "")
    assert done.error.startswith("error: a.snap: section ") and done.error.endswith("the file is damaged")


@pytest.mark.parametrize(("options", "words"), [
    (["hello"], "both --load and IMAGE"), (["-m", "1G"], "both --load and -m"),
    (["--smp", "2"], "both --load and --smp"),
    (["--append", "x"], "both --load and --append"), (["--bios", "none"], "both --load and --bios"),
    (["--quantum", "5"], "both --load and --quantum"),
])
def test_what_a_new_machine_would_be_like_is_not_to_be_said(hartwell: Hartwell, options: list[str], words: str) -> None:
    done = hartwell("boot", "--load", "nope.snap", *options)
    assert done.code == 2
    assert done.error == f"error: {words}: nope.snap has a machine with everything in it"


@pytest.mark.parametrize(("path", "words"), [
    ("/nowhere/t", "--save /nowhere/t: No such file or directory"), (".", "--save .: not a regular file"),
    ("/dev/null", "--save /dev/null: not a regular file"),
])
def test_a_place_that_cannot_be_written_is_refused_before_anything_runs(
        hartwell: Hartwell, path: str, words: str) -> None:
    done = hartwell("boot", "hello", "--save", path)
    assert (done.code, done.out, done.error) == (2, "", f"error: {words}")
