"""Disassembly: the same instructions and targets as objdump, and branches that go where the hart goes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from emulator.board import Board
from emulator.errors import BusError
from emulator.machine import Machine
from emulator.stop import Breakpoint
from hartwell.debug.disassembly import Instruction, Kind, disassemble, disassemble_before
from hartwell.debug.programs import Programs
from tests.helpers.machines import FIRMWARE, IMAGES, load, machine

from .cross import needs, output
from .test_examine import Memory

OBJDUMP = "riscv64-unknown-elf-objdump"
PROGRAMS = [FIRMWARE, IMAGES / "sbi-selftest" / "sbi-selftest.elf", IMAGES / "pagefault-sv48" / "pagefault-sv48.elf"]
BRANCHES = "beq bne blt bge bltu bgeu beqz bnez blez bgez bltz bgtz bgt ble bgtu bleu"
KINDS = {"jal": Kind.CALL, "jalr": Kind.CALL, "j": Kind.JUMP, "jr": Kind.JUMP, "ret": Kind.RETURN, "ecall": Kind.TRAP,
         "ebreak": Kind.TRAP, "mret": Kind.TRAP_RETURN, "sret": Kind.TRAP_RETURN,
         **dict.fromkeys(BRANCHES.split(), Kind.BRANCH)}


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
@needs(OBJDUMP)
def test_objdump_sees_the_same_flow(path: Path) -> None:
    image = load(path)
    programs, memory, seen = Programs([image]), Memory(image), 0
    for address, bits, name, operands in re.findall(
            r"^ *([0-9a-f]+):\t([0-9a-f]{4,8}) +\t(\S+)(?:\t([^#\n]*))?", output(OBJDUMP, "-d", str(path)), re.M):
        ours = disassemble(memory.read, programs, int(address, 16), 1)[0]
        assert ours.bits == int(bits, 16) and ours.size == len(bits) // 2
        assert ours.kind is KINDS.get(name, Kind.OTHER), (address, name)
        target = re.search(r"(?:^|,)([0-9a-f]{6,}) <([^>]+)>", operands)
        if target and name in KINDS:
            assert ours.target == int(target[1], 16) and f"{ours.target:#x}" in ours.text
            assert ours.symbol == programs.format(ours.target)
        seen += 1
    assert seen > 1000


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_backwards_is_forwards_from_the_start_of_the_function(path: Path) -> None:
    image = load(path)
    programs, memory = Programs([image]), Memory(image)
    start = image.segments[0].virtual
    forwards = disassemble(memory.read, programs, start, 600)
    for index in range(20, 600, 7):
        before = disassemble_before(memory.read, programs, forwards[index].address, 10)
        expected = forwards[index - 10 : index]
        assert [(one.address, one.text) for one in before] == [(one.address, one.text) for one in expected]
    assert len(disassemble_before(memory.read, programs, forwards[3].address, 10)) == 3
    assert disassemble_before(memory.read, programs, start, 10) == []
    assert disassemble_before(memory.read, programs, forwards[30].address + 1, 10) == []  # in the middle of one


def test_backwards_works_before_the_mmu_is_on() -> None:
    image = load(IMAGES.parent / "kernel" / "text" / "kernel.elf", 0x8020_0000)
    programs = Programs([image])
    board = Machine(Board())
    board.boot(kernel=image)
    hart = board.harts[0]
    symbol = programs.find("secondary_start")
    assert symbol is not None
    physical = symbol - 0xFFFF_FFFF_0000_0000
    before = disassemble_before(hart.read_memory, programs, physical + 16, 3)
    assert before and before[-1].address + before[-1].size == physical + 16


def test_branches_and_jumps_go_where_the_hart_goes() -> None:
    board = Machine(Board())
    board.boot(kernel=load(IMAGES / "timer" / "timer.elf"), firmware=load(FIRMWARE))
    hart, programs, kinds = board.harts[0], Programs([load(FIRMWARE)]), set()
    for step in range(10_000):
        if step == 9_000:
            board.set_breakpoints([programs.find("hart_mret") or 0])
            assert isinstance(board.run(5_000_000), Breakpoint)
        now = disassemble(hart.read_memory, programs, hart.pc, 1)[0]
        leads = now.destination(hart.read)
        traps = hart.traps
        board.step()
        if hart.traps == traps and not hart.waiting:
            assert hart.pc == (now.address + now.size if leads is None else leads), now
            assert now.taken(hart.read) is None or now.kind is Kind.BRANCH
            kinds.add(now.kind)
    assert kinds >= {Kind.CALL, Kind.JUMP, Kind.BRANCH, Kind.RETURN, Kind.TRAP_RETURN, Kind.OTHER}


@pytest.mark.parametrize(("a", "b", "taken"), [
    (0, 0, "beq bge bgeu"), (1, 2, "bne blt bltu"), ((1 << 64) - 1, 1, "bne blt bgeu"),
    (1, (1 << 64) - 1, "bne bge bltu"), (1 << 63, (1 << 63) - 1, "bne blt bgeu")])
def test_a_branch_is_taken_as_its_condition_says(a: int, b: int, taken: str) -> None:
    names = "beq bne blt bge bltu bgeu".split()
    board = machine("\n".join(f"{name} a0, a1, 2f" for name in names) + "\n2: nop\n")
    base = board.harts[0]
    lines = disassemble(base.read_memory, Programs(), 0x8000_0000, len(names))
    registers = {"x10": a, "x11": b}
    assert [line.taken(registers.__getitem__) for line in lines] == [name in taken.split() for name in names]


def test_a_far_call_has_the_target_of_both_its_instructions() -> None:
    code = {0x1000: 0x12345097, 0x1004: 0x678080E7}  # auipc ra, 0x12345; jalr ra, 0x678(ra)

    def read(address: int, size: int) -> bytes:
        word = code[address & ~3] >> 8 * (address & 3)
        return (word & (1 << 8 * size) - 1).to_bytes(size, "little")

    assert disassemble(read, Programs(), 0x1000, 2)[1].target == 0x1000 + 0x12345000 + 0x678


def test_memory_that_ends_ends_the_listing() -> None:
    board = machine("nop\nnop\n")
    end = board.board.banks[0].end
    lines = disassemble(board.harts[0].read_memory, Programs(), end - 6, 5)
    assert [line.address for line in lines] == [end - 6, end - 4, end - 2]
    with pytest.raises(BusError):
        disassemble(board.harts[0].read_memory, Programs(), end, 1)


@given(st.integers(0, 0xFFFF_FFFF), st.integers(0, (1 << 64) - 2))
def test_any_bits_are_some_instruction(bits: int, address: int) -> None:
    def read(at: int, size: int) -> bytes:
        return (bits >> 8 * (at - address & 2)).to_bytes(4, "little")[:size]

    one: Instruction = disassemble(read, Programs(), address, 1)[0]
    assert one.text and one.text.isprintable()
    one.destination(lambda name: 1 << 63)
