"""Faults that are harmful on purpose are called what they are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from hartwell.lab.fault.golden import Golden
from hartwell.lab.fault.verdict import Verdict
from hartwell.lab.operation import Program
from hartwell.lab.subject import Subject, load_subject
from hartwell.lab.subject.setting import Setting


@pytest.fixture(scope="module")
def golden() -> Iterator[Golden]:
    program = Program()
    blocks = [program.alloc(4096 << n % 3, 4096) for n in range(12)]
    for block in blocks[::2]:
        program.dealloc(block)
    for _ in range(4):
        program.alloc(4096, 4096)
    with load_subject("buddy", Setting(memory=24 << 20, given=1 << 20, budget=100_000)) as subject:
        yield Golden(subject, program.operations)


def word(subject: Subject, paddr: int) -> int:
    return int.from_bytes(subject.machine.bus.read(paddr, 8), "little")


def test_no_fault_is_masked_wherever_it_was_begun(golden: Golden) -> None:
    for operation in (0, 1, 11, 17, len(golden.operations) - 1, 3):
        assert golden.verdict(operation, golden.at(operation)) == (Verdict.MASKED, "")


def test_no_fault_is_masked_in_a_kernel_that_stands_on_the_allocator() -> None:
    program = Program()
    program.dealloc(program.alloc(8192, 4096))
    program.alloc(4096, 4096)
    with load_subject("osdk-frame", Setting(memory=16 << 20)) as subject:
        golden = Golden(subject, program.operations)
        assert golden.checks and golden.verdict(2, golden.at(2)) == (Verdict.MASKED, "")


def test_a_byte_of_a_block_that_changes_is_silent(golden: Golden) -> None:
    shadow = golden.at(12)
    _, address, _ = shadow.blocks()[3]
    golden.subject.machine.bus.write(address + 16, b"\xa5")
    verdict, said = golden.verdict(12, shadow)
    assert verdict is Verdict.SILENT and said.startswith("contents: ") and "byte 16 " in said


def test_memory_of_somebody_elses_that_changes_is_silent(golden: Golden) -> None:
    shadow = golden.at(5)
    assert golden.untouched is not None
    bank = golden.subject.machine.board.banks[0]
    paddr = bank.base + 4096 * int(np.flatnonzero(golden.untouched)[40])
    golden.subject.machine.bus.write(paddr, b"\xa5")
    assert golden.verdict(5, shadow) == (
        Verdict.SILENT, f"memory of somebody else's was written to, first at {paddr:#x}")
    shadow = golden.at(5)
    golden.subject.machine.bus.write(paddr, b"\xa5")
    assert golden.verdict(5, shadow, changed=(paddr,)) == (Verdict.MASKED, "")  # that was the fault itself


def test_a_list_that_ends_in_itself_is_a_hang_or_lost(golden: Golden) -> None:
    """The first free frame is linked to itself: taken twice, it is two blocks' at once."""
    shadow = golden.at(18)
    subject = golden.subject
    memory = subject.memory
    linear = subject.kernel.mm.paddr_to_vaddr(0)
    taken = {address for _, address, _ in shadow.blocks()}
    free = [paddr for paddr in range(memory.paddr, memory.paddr + memory.size, 4096)
            if paddr not in taken and linear <= word(subject, paddr) < linear + (1 << 40)]
    for paddr in free:
        subject.machine.bus.write(paddr, (paddr + linear).to_bytes(8, "little"))
    verdict, _ = golden.verdict(18, shadow)
    assert verdict is not Verdict.MASKED


def test_nothing_is_left_of_one_fault_in_the_next(golden: Golden) -> None:
    for _ in range(2):
        shadow = golden.at(12)
        golden.subject.machine.bus.write(shadow.blocks()[0][1], b"\0" * 64)
        assert golden.verdict(12, shadow)[0] is Verdict.SILENT
        assert golden.verdict(12, golden.at(12)) == (Verdict.MASKED, "")
