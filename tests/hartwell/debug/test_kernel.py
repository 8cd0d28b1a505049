"""Kernel memory in the debugger: what the eyes see there is what the command line shows, at any place of the run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emulator.board import Board
from emulator.machine import Machine
from hartwell.eyes import EYES, EyeContext
from kernel import Kernel
from kernel.picture import FrameMap, FrameUsage

from .debugger import Debugger, debugging, debugging_kernel

COMMANDS = ("memmap", "buddy", "slab", "vmmap", "pt 0xffffffff80200000", "frame 0x80200000")


@pytest.fixture
def kernel() -> Iterator[Debugger]:
    """Our kernel, booted under the debugger."""
    with debugging_kernel() as made:
        made.do("c")
        yield made


@pytest.fixture(scope="module")
def reference() -> Iterator[Kernel]:
    """The same kernel, booted without one."""
    machine = Machine(Board(memory=32 << 20))
    booted = Kernel.boot(machine)
    yield booted
    booted.close()
    machine.close()


@pytest.mark.parametrize("command", COMMANDS)
def test_eyes_see_what_is_there_without_a_debugger(kernel: Debugger, reference: Kernel, command: str) -> None:
    name, *words = command.split()
    said: list[str] = []
    eye = next(eye for eye in EYES if eye.name == name)
    eye.run(EyeContext(reference.machine), words, said.append)
    assert kernel.do(command) == said and len(said) > 2


def test_eyes_take_expressions(kernel: Debugger) -> None:
    assert kernel.do("pt _start") == kernel.do("pt 0xffffffff80200000")
    assert kernel.do("frame 0x80200000&~0xfff") == kernel.do("frame 0x80200000")
    assert "expected" in kernel.fails("frame nowhere")
    assert "0 arguments" in kernel.fails("pt")


def test_eyes_see_the_past(kernel: Debugger, reference: Kernel) -> None:
    now = kernel.do("buddy")
    kernel.do("b stage:heap", "rc")
    assert kernel.target.in_past
    assert kernel.do("buddy") != now
    assert "the boot has not come to the end of the stage heap" in kernel.fails("slab")
    kernel.do("goto begin")
    assert "has not begun to boot" in kernel.fails("memmap")
    kernel.do("goto end")
    assert kernel.do("buddy") == now
    assert f"{FrameUsage.of(FrameMap.read(reference.mm)).free:,}" in "".join(kernel.do("memmap")[-1:])


def test_eyes_say_that_a_guest_is_another() -> None:
    with debugging("hello") as debugger:
        assert debugger.fails("memmap").startswith("memmap: the guest is not Hartwell's kernel")


def test_diff_tells_what_changed(kernel: Debugger) -> None:
    kernel.do("tb op:heap_alloc", "goto begin", "c", "mark asked", "tb op:heap_alloc:done", "c")
    said = kernel.do("diff")
    assert said == kernel.do("diff asked") and said != ["nothing changed"]
    assert any(line.startswith("frames:") for line in said)
    kernel.do("mark done", "goto end")
    assert kernel.do("diff asked done") == said
    assert kernel.do("diff done done") == ["nothing changed"]
    place = kernel.target.position
    instructions = kernel.machine.instructions
    assert kernel.do(f"diff {instructions}") == ["nothing changed"]
    assert kernel.target.position == place
    assert "expected a number of instructions, or one of asked, begin, done, end" in kernel.fails("diff nowhere")
    assert "at most two" in kernel.fails("diff 1 2 3")
    assert "more than" in kernel.fails("diff 99,999,999,999")
    assert "has not begun to boot" in kernel.fails("diff begin")
    assert kernel.target.position == place


def test_stages_tell_when_they_began(kernel: Debugger) -> None:
    lines = kernel.do("info stages")
    assert [line.split()[0] for line in lines][:3] == ["entry", "early-info", "early-allocator"]
    assert all("begun after" in line for line in lines)
    kernel.do("b stage:smp", "rc")
    lines = kernel.do("info stages")
    assert ["ahead of here" in line for line in lines] == [False] * 11 + [True] * 2
    number = int(next(line for line in lines if line.startswith("smp")).split()[3].replace(",", ""))
    assert number == kernel.machine.instructions


def test_a_tracker_knows_who_allocated() -> None:
    with debugging_kernel() as plain:
        plain.do("c")
        root = int(plain.machine.console.split(b"root at ")[1].split(b",")[0], 16)
        assert not any("allocated" in line and "kernel/" in line for line in plain.do(f"frame {root:#x}"))
    with debugging_kernel(track=True) as tracked:
        tracked.do("c")
        lines = tracked.do(f"frame {root:#x}")
        assert any("kernel-page-table" in line for line in lines)
        assert any("kernel/mm/" in line for line in lines)
        tracked.do("b stage:kernel-page-table", "rc")
        assert not any("in the boot stage kernel-page-table" in line for line in tracked.do(f"frame {root:#x}"))
