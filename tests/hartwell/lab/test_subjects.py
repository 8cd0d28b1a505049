"""Subjects: what operations do to allocators in guest code and in Python, and what is said when one fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hartwell.lab.errors import ProgramError, SpecError, SubjectFailed
from hartwell.lab.finding import FindingKind
from hartwell.lab.operation import OPERATION, Kind, Program, State
from hartwell.lab.subject import Subject, SubjectKind, load_subject
from hartwell.lab.subject.guest import GuestSubject
from hartwell.lab.subject.setting import Setting
from hartwell.lab.trial import Trial

MIB = 1 << 20


def test_blocks_are_where_the_allocator_says(buddy: Subject) -> None:
    program = Program()
    first, second = program.alloc(4096, 4096), program.alloc(65536, 65536)
    program.dealloc(first)
    program.dealloc(second)
    results = buddy.run(program.operations)
    assert buddy.kind is SubjectKind.FRAME
    assert (results["state"] == State.DONE).all()
    one, two = int(results["value"][0]), int(results["value"][1])
    memory = buddy.memory
    assert memory.start <= one < memory.end and memory.start <= two <= memory.end - 65536
    assert one % 4096 == 0 and two % 65536 == 0
    assert [int(value) for value in results["value"][2:]] == [one, two]


def test_the_same_operations_cost_the_same(buddy: Subject) -> None:
    program = Program()
    for _ in range(20):
        program.alloc(4096, 4096)
    first = buddy.run(program.operations)
    buddy.reset()
    second = buddy.run(program.operations)
    assert (first == second).all()
    assert (first["instructions"] > 0).all() and (first["instructions"] < 10_000).all()


def test_reset_makes_it_pristine(buddy: Subject) -> None:
    program = Program()
    program.alloc(buddy.memory.size // 2, 4096)
    one = buddy.run(program.operations)["value"][0]
    two = buddy.run(program.operations)["value"][0]
    buddy.reset()
    assert one != two
    assert buddy.run(program.operations)["value"][0] == one


def test_what_a_guest_scribbles_into_a_block_is_found(buddy: Subject) -> None:
    program = Program()
    handle = program.alloc(8192, 4096)
    address = int(buddy.run(program.operations)["value"][0])
    buddy.machine.bus.write(address + 4096 + 3, b"\xff")
    program = Program()
    program.check(handle)
    assert int(buddy.run(program.operations)["found"][0]) == 1 + 4096 + 3


def test_every_size_is_filled_to_its_last_byte(slab: Subject) -> None:
    for size in [*range(1, 40), 127, 128, 129, 4096, 5000]:
        slab.reset()
        program = Program()
        handle = program.alloc(size)
        address = int(slab.run(program.operations)["value"][0])
        last = address - slab.memory.start + slab.memory.paddr + size - 1
        byte = slab.machine.bus.read(last, 1)[0]
        slab.machine.bus.write(last, bytes([byte ^ 1]))
        program = Program()
        program.check(handle)
        assert int(slab.run(program.operations)["found"][0]) == size, size


def test_halves_are_given_back_apart(buddy: Subject) -> None:
    program = Program()
    handle = program.alloc(16384, 4096)
    rest = program.split(handle, 4096)
    program.check(rest)
    program.dealloc(rest)
    program.check(handle)
    program.dealloc(handle)
    results = buddy.run(program.operations)
    assert not results["found"].any()
    assert Trial(buddy).run(program.operations).findings == ()


def test_an_operation_without_a_block_is_skipped(buddy: Subject) -> None:
    program = Program()
    handle = program.alloc(2 * buddy.memory.size, 4096)
    program.dealloc(handle)
    results = buddy.run(program.operations)
    assert [State(int(state)) for state in results["state"]] == [State.DONE, State.SKIPPED]
    assert int(results["value"][0]) == 0


@pytest.mark.parametrize("row, expected", [
    ((Kind.ALLOC, 0, 4097, 4096, 0), "multiple of 4096"),
    ((Kind.ALLOC, 0, 4096, 4097, 0), "power of two"),
    ((Kind.ALLOC, 0, 0, 4096, 0), "positive"),
    ((Kind.ADD, 0, 1 << 40, 0, 0), "whole pages inside"),
    ((Kind.SPLIT, 0, 1, 0, 100), "offset"),
    ((9, 0, 0, 0, 0), "kind"),
    ((Kind.ALLOC, 1 << 20, 4096, 4096, 0), "handles"),
])
def test_operations_that_make_no_program(buddy: Subject, row: tuple[int, ...], expected: str) -> None:
    with pytest.raises(ProgramError, match=expected):
        buddy.run(np.array([row], dtype=OPERATION))


def test_operations_on_another_cpu() -> None:
    with load_subject("buddy", Setting(harts=3)) as subject:
        program = Program()
        for _ in range(100):
            program.alloc(4096, 4096)
        values = set()
        for cpu in (2, 0, 1):
            results = subject.run(program.operations, cpu, contents=False)
            assert results["value"].all()
            values |= {int(value) for value in results["value"]}
        assert len(values) == 300
        subject.reset()
        assert Trial(subject).run(program.operations, cpu=2).ok


def test_operations_on_several_cpus_at_once() -> None:
    with load_subject("buddy", Setting(harts=3)) as subject:
        assert isinstance(subject, GuestSubject)
        programs = []
        for cpu in (1, 2):
            program = Program()
            program.handles = 1000 * cpu
            for _ in range(400):
                program.alloc(4096, 4096)
            programs.append(program.operations)
        one = subject.run_together(programs)
        values = [int(value) for results in one for value in results["value"]]
        assert len(set(values)) == 800 and 0 not in values
        mixed = sorted((value, cpu) for cpu, results in enumerate(one) for value in results["value"].tolist())
        assert sum(a[1] != b[1] for a, b in zip(mixed, mixed[1:], strict=False)) > 2, "they were at work in turns"
        subject.reset()
        assert all((a == b).all() for a, b in zip(one, subject.run_together(programs), strict=True))
        with pytest.raises(ProgramError, match="CPU 3 of 3"):
            subject.run_together([*programs, programs[0]])


# --- what goes wrong in a call --------------------------------------------------------------------------------


def test_a_call_that_does_not_return(buddy: Subject) -> None:
    assert isinstance(buddy, GuestSubject)
    _patch(buddy, "hartwell_frame_dealloc", 0x0000006F)  # j .
    program = Program()
    program.dealloc(program.alloc(4096, 4096))
    with pytest.raises(SubjectFailed) as failed:
        buddy.run(program.operations)
    finding = failed.value.finding
    assert (finding.kind, finding.operation) == (FindingKind.HANG, 1)
    assert "hartwell_frame_dealloc" in finding.what and "1,000,000 instructions" in finding.what
    assert failed.value.partial is not None
    assert [State(int(state)) for state in failed.value.partial["state"]] == [State.DONE, State.CALLED]
    buddy.reset()
    assert buddy.run(program.operations)["value"].all()


@pytest.mark.parametrize("instruction, what", [
    (0x00003003, "load page fault"),        # ld zero, 0(zero)
    (0x00000000, "illegal instruction"),
])
def test_a_call_that_traps(buddy: Subject, instruction: int, what: str) -> None:
    assert isinstance(buddy, GuestSubject)
    _patch(buddy, "hartwell_frame_alloc", instruction)
    program = Program()
    program.alloc(4096, 4096)
    for _ in range(2):  # it can be said more than once
        with pytest.raises(SubjectFailed) as failed:
            buddy.run(program.operations)
        finding = failed.value.finding
        assert (finding.kind, finding.operation) == (FindingKind.CRASH, 0)
        assert what in finding.what and "hartwell_frame_alloc" in finding.what
        buddy.reset()
        _patch(buddy, "hartwell_frame_alloc", instruction)


def _patch(subject: GuestSubject, name: str, instruction: int) -> None:
    hart = subject.machine.harts[0]
    paddr = hart.translate(subject.text.address(name))
    assert paddr is not None
    subject.machine.bus.write(paddr, instruction.to_bytes(4, "little"))
    subject.machine.bus.discard_code(paddr, 4)


# --- SPECs ------------------------------------------------------------------------------------------------------


def test_a_file_and_a_class(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("from kernel.osdk.frame_allocator import FrameAllocator\n"
                                      "class Mine(FrameAllocator):\n    pass\n")
    with load_subject(f"{tmp_path}/mine.py:Mine") as subject:
        assert (subject.name, subject.kind) == ("Mine", SubjectKind.FRAME)
        program = Program()
        handles = [program.alloc(4096 << n, 4096) for n in range(6)]
        for handle in handles:
            program.dealloc(handle)
        assert Trial(subject).run(program.operations).ok


@pytest.mark.parametrize("spec, expected", [
    ("no-such", "no allocator comes along"), ("no.such.module:Thing", "cannot be imported"),
    ("kernel.errors:KernelError", "is no allocator"), ("kernel.errors:Nothing", "has no class or function Nothing$"),
    ("kernel.osdk.frame_allocator.frame_allocator:Nothing", "Nothing; expected one of FrameAllocator$"),
    ("buddy/no-such-bug", "no allocator comes along"), ("../images", "expected"),
])
def test_specs_that_name_nothing(spec: str, expected: str) -> None:
    with pytest.raises(SpecError, match=expected):
        load_subject(spec)


def test_files_that_are_no_allocator(tmp_path: Path) -> None:
    for name, data, expected in (("text.elf", b"hello", "text.elf"), ("mine.py", b"x = 1", "name of the class")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SpecError, match=expected):
            load_subject(str(tmp_path / name))
    from importlib.resources import files

    (tmp_path / "hello.elf").write_bytes((files("images") / "hello" / "hello.elf").read_bytes())
    with pytest.raises(SpecError, match="expected all of it in 0xffffffff90000000"):
        load_subject(str(tmp_path / "hello.elf"))
    (tmp_path / "driver.elf").write_bytes((files("allocators") / "driver" / "driver.elf").read_bytes())
    with pytest.raises(SpecError):
        load_subject(str(tmp_path / "driver.elf"))


def test_a_machine_that_is_too_small() -> None:
    with pytest.raises(SpecError, match="more memory"):
        load_subject("buddy", Setting(memory=16 * MIB, given=12 * MIB))
    with pytest.raises(SpecError, match="multiple of 4096"):
        load_subject("buddy", Setting(given=1000))
