"""Backtraces: who called whom, at every instruction of programs that were compiled in all manners.

What is true is known from the run itself: a call pushes where it will return to, and arriving there with the
stack pointer of the call pops it.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings, strategies as st

from emulator.board import Board
from emulator.hart import Hart
from emulator.loader.elfsections import read_sections
from emulator.loader.model import Image
from emulator.machine import Machine
from emulator.stop import Breakpoint, Exited
from hartwell.debug.backtrace import Call, How, backtrace, return_address
from hartwell.debug.callframe import Rule, Where
from hartwell.debug.flow import Kind, flow
from hartwell.debug.prologue import analyse
from hartwell.debug.programs import Programs
from kernel.text.image import firmware_image, kernel_image
from tests.helpers.assembler import BASE, assemble
from tests.helpers.machines import FIRMWARE, IMAGES, load, machine
from tests.kernel.cpu.guest import Guest
from tests.kernel.cpu.test_trap import User

from .cross import GCC, compiled, loaded, needs, output

BUILDS = {
    "O0": ["-O0"], "O1": ["-O1"], "O2": ["-O2"], "Os": ["-Os"],
    "O2-fp": ["-O2", "-fno-omit-frame-pointer"], "O0-nofp": ["-O0", "-fomit-frame-pointer"],
    "O2-norvc": ["-O2", "-march=rv64ima_zicsr"],
}
INFORMATION = {"dwarf4": ["-gdwarf-4"], "dwarf5": ["-gdwarf-5"],
               "eh_frame": ["-fasynchronous-unwind-tables"],
               "none": ["-g0", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables"]}


@dataclass
class Shadow:
    """The calls that a hart has made and not returned from: where to, and with which sp."""

    calls: list[tuple[int, int]] = field(default_factory=list)

    def step(self, board: Machine, hart: Hart) -> bool:
        """Make one step; False when the machine has ended."""
        before = hart.pc
        kind = flow(int.from_bytes(hart.read_memory(before, 4), "little")).kind
        if isinstance(board.step(), Exited):
            return False
        if kind is Kind.CALL:
            self.calls.append((hart.read("ra"), hart.read("sp")))
        elif kind in (Kind.RETURN, Kind.JUMP) and self.calls and self.calls[-1] == (hart.pc, hart.read("sp")):
            self.calls.pop()
        return True


def every_step(image: Image) -> Iterator[tuple[Hart, list[int]]]:
    """Run a program to its end; at each step, the hart and its return addresses, the innermost first."""
    board = Machine(Board())
    board.boot(kernel=image)
    hart, shadow = board.harts[0], Shadow()
    while hart.pc != image.entry:
        board.step()
    while shadow.step(board, hart):
        yield hart, [pc for pc, _ in reversed(shadow.calls)]


@pytest.mark.cross
@needs(GCC)
@pytest.mark.parametrize("information", INFORMATION)
@pytest.mark.parametrize("build", BUILDS)
def test_every_instruction_of_a_program_has_its_callers(build: str, information: str, tmp_path: Path) -> None:
    image = loaded(compiled(tmp_path, [*BUILDS[build], *INFORMATION[information]]))
    programs, wrong, steps = Programs([image]), [], 0
    for hart, callers in every_step(image):
        steps += 1
        found = [call.pc for call in backtrace(hart, programs)]
        if found != [hart.pc, *callers]:
            wrong.append([programs.format(hart.pc), [programs.format(pc) for pc in found]])
    assert steps > 300
    assert wrong == []
    assert programs.problem == ""


@pytest.mark.cross
@needs(GCC)
def test_frames_say_where_and_how_and_finish_knows_where_to(tmp_path: Path) -> None:
    image = loaded(compiled(tmp_path, ["-O1", "-g"]))
    programs = Programs([image])
    board = at(image, programs, "large")
    calls = backtrace(board.harts[0], programs)
    assert names(calls) == ["large", "down", "down", "down", "down", "tail", "main", "_start"]
    assert [call.how for call in calls] == [How.REGISTERS] + [How.CFI] * 7
    assert [call.privilege for call in calls] == [3] * 8
    source = (Path(__file__).parent / "calls.c").read_text().splitlines()
    shown = [source[call.line.line - 1].strip() for call in calls[1:7] if call.line is not None]
    assert shown == ["return large(4);", *["word below = down(n - 1);"] * 3, "return down(a);", "word total = tail(3);"]
    assert return_address(board.harts[0], programs) == calls[1].pc
    assert backtrace(board.harts[0], programs, 3) == calls[:3]
    assert len(backtrace(board.harts[0], programs, 0)) == 1


@pytest.mark.cross
@needs(GCC, "gdb-multiarch", "qemu-system-riscv64")
@pytest.mark.qemu
@pytest.mark.parametrize("options", [["-O0", "-gdwarf-4"], ["-O1", "-gdwarf-5"]])
def test_gdb_sees_the_same_frames_on_qemu(options: list[str], tmp_path: Path) -> None:
    path = compiled(tmp_path, options)
    socket = tmp_path / "gdb"
    qemu = subprocess.Popen(["qemu-system-riscv64", "-M", "virt", "-display", "none", "-serial", "none", "-monitor",
                             "none", "-bios", str(path), "-S", "-gdb", f"unix:{socket},server=on,wait=off"])
    try:
        while not socket.exists():
            assert qemu.poll() is None
        told = output("gdb-multiarch", "-nx", "-batch", "-ex", f"target remote {socket}", "-ex", "break *large",
                      "-ex", "continue", "-ex", "bt", str(path))
    finally:
        qemu.kill()
        qemu.wait()
    theirs = [int(pc, 16) for pc in re.findall(r"^#\d+ +0x([0-9a-f]+) in", told, re.M)]
    image = loaded(path)
    programs = Programs([image])
    ours = [call.pc for call in backtrace(at(image, programs, "large").harts[0], programs)]
    assert len(theirs) > 5 and theirs == ours[1 : len(theirs) + 1]  # gdb ends at main


# --- assembly and traps -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("function", "expected"), [
    ("trap", ["trap S", "trap_vector S", "main S", "_start S"]),
    ("trap_handle", ["trap_handle M", "save M", "main S", "_start S"]),
    ("_start", ["_start M"]),
    ("boot_main", ["boot_main M", "boot M"]),
])
def test_traps_are_followed_into_what_they_interrupted(function: str, expected: list[str]) -> None:
    kernel, firmware = load(IMAGES / "timer" / "timer.elf"), load(FIRMWARE)
    programs = Programs([kernel, firmware])
    board = Machine(Board())
    board.boot(kernel=kernel, firmware=firmware)
    address = programs.find(function) if function != "_start" else firmware.entry
    assert address is not None
    board.set_breakpoints([address])
    assert isinstance(board.run(10_000_000), Breakpoint)
    calls = backtrace(board.harts[0], programs)
    assert [f"{name} {'US?M'[call.privilege]}" for name, call in zip(names(calls), calls, strict=True)] == expected


def test_a_trap_of_user_code_is_followed_through_the_kernels_text() -> None:
    guest = Guest(Board(), None)
    user = User(guest, "li sp, 0x20800\n li s0, 7\n nop\n ecall\n 1: j 1b")
    programs = Programs([firmware_image(), kernel_image()])
    frame = user.enter()
    calls = backtrace(guest.machine.harts[0], programs)
    assert [call.how for call in calls] == [How.REGISTERS, How.TRAP]
    assert (calls[1].pc, calls[1].sp, calls[1].privilege) == (frame.sepc, 0x20800, 0)
    guest.machine.close()


def test_a_slot_below_the_stack_pointer_is_not_believed() -> None:
    lines = ["addi sp, sp, -32", "sd ra, 24(sp)", "sd s0, 16(sp)", "addi s0, sp, 32", "ld ra, 24(sp)", "ld s0, 16(sp)",
             "addi sp, sp, 32"]
    code, places = assemble("\n".join(lines)), []
    for count in range(len(lines) + 1):
        rules = analyse(code, BASE, BASE + 4 * count)
        assert rules is not None
        places.append((rules.register, rules.offset, rules.rules.get(1)))
    saved = Rule(Where.SAVED, -8)
    assert places == [(2, 0, None), (2, 32, None), *[(2, 32, saved)] * 5, (2, 0, None)]


# --- what is hostile ------------------------------------------------------------------------------------------------


WORDS = st.sampled_from([0, 1, 8, 0x1000_0000, 0x8000_0000, 0x8000_0010, 0x8000_1000, 0x87FF_FFF8, 1 << 63,
                         (1 << 64) - 8, (1 << 64) - 1]) | st.integers(0, (1 << 64) - 1)


@pytest.fixture(scope="module")
def held() -> tuple[Machine, Programs]:
    """The firmware on a machine that has run a little."""
    firmware = load(FIRMWARE)
    board = Machine(Board())
    board.boot(kernel=load(IMAGES / "timer" / "timer.elf"), firmware=firmware)
    board.run(2000)
    return board, Programs([firmware])


@settings(deadline=None, max_examples=150)
@given(pc=st.integers(0x8000_0000, 0x8000_5000) | WORDS, sp=WORDS, ra=WORDS, s0=WORDS, tvec=WORDS,
       stack=st.lists(WORDS, min_size=8, max_size=64))
def test_nothing_that_a_guest_does_to_its_registers_and_stack_hurts(
        held: tuple[Machine, Programs], pc: int, sp: int, ra: int, s0: int, tvec: int, stack: list[int]) -> None:
    board, programs = held
    hart = board.harts[0]
    hart.pc = pc
    for name, value in (("sp", sp), ("ra", ra), ("s0", s0), ("mtvec", tvec)):
        hart.write(name, value)
    board.bus.write(0x8000_1000 + (1 << 20), b"".join(word.to_bytes(8, "little") for word in stack))
    console = board.console
    calls = backtrace(hart, programs)
    assert 1 <= len(calls) <= 64 and calls[0].pc == hart.pc
    assert board.console == console


def test_frames_that_go_in_circles_end() -> None:
    board = machine("""
        la      s0, frame + 16
        la      sp, frame - 64
here:   jal     ra, there
        j       here
there:  la      t0, frame
        sd      s0, 0(t0)
        sd      ra, 8(t0)
1:      j       1b
        .space  100
frame:  .dword  0, 0
    """)
    board.run(200)
    calls = backtrace(board.harts[0], Programs())  # nothing is known: the chain of frame pointers, which is a ring
    assert [call.how for call in calls] == [How.REGISTERS, How.FRAME_POINTER]


@pytest.mark.cross
@needs(GCC)
def test_damaged_call_frame_information_is_reported_and_never_raises(tmp_path: Path) -> None:
    path = compiled(tmp_path, ["-O1", "-g"])
    good, random = path.read_bytes(), Random(1)
    sections = {section.name: section for section in read_sections(good)[0]}
    frame = sections[".debug_frame"]
    image = loaded(path)
    board = at(image, Programs([image]), "large")
    problems = 0
    for _ in range(120):
        data = bytearray(good)
        for _ in range(random.randint(1, 6)):
            data[frame.offset + random.randrange(frame.size)] = random.choice((0, 0xFF, 0x80, random.randrange(256)))
        programs = Programs([replace(image, file=bytes(data))])
        assert backtrace(board.harts[0], programs)[0].pc == board.harts[0].pc
        problems += programs.problem != ""
    assert problems > 10


def at(image: Image, programs: Programs, function: str) -> Machine:
    """A machine that has run the image up to a function."""
    board = Machine(Board())
    board.boot(kernel=image)
    address = programs.find(function)
    assert address is not None
    board.set_breakpoints([address])
    assert isinstance(board.run(1_000_000), Breakpoint)
    return board


def names(calls: list[Call]) -> list[str]:
    """The functions of a backtrace."""
    return [call.function.name if call.function is not None else hex(call.pc) for call in calls]
