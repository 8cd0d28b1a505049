"""Hangs explained: the loop, the circle of a list, the lock that nobody gives back."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

import pytest

from hartwell.debug.disassembly import disassemble
from hartwell.debug.programs import Programs
from hartwell.lab.errors import LabError
from hartwell.lab.finding import Finding, FindingKind
from hartwell.lab.hang import explain_client_hang, explain_hang, with_reports
from hartwell.lab.operation import Operations, Program
from hartwell.lab.sanitizer.client import Client, run_client
from hartwell.lab.subject import load_subject
from hartwell.lab.subject.guest import GuestSubject
from hartwell.lab.subject.setting import Setting
from hartwell.lab.trial import Trial

PAGE = 4096
SELF = 0xA001  # c.j to itself
NOP = 0x0001


@pytest.fixture
def naive() -> Iterator[GuestSubject]:
    with load_subject("naive", Setting(memory=16 << 20, given=1 << 20)) as subject:
        assert isinstance(subject, GuestSubject)
        yield subject


def poke(subject: GuestSubject, address: int, data: bytes) -> None:
    """Change memory of the pristine subject, at a virtual address."""
    paddr = subject.machine.harts[0].translate(address)
    assert paddr is not None
    subject.machine.bus.write(paddr, data)
    subject.keep()


def page(subject: GuestSubject, number: int) -> int:
    """Where a page of the allocator's memory is."""
    return subject.kernel.mm.paddr_to_vaddr(subject.memory.paddr + number * PAGE)


def hang_of(subject: GuestSubject, operations: Operations) -> Finding:
    [finding] = Trial(subject).run(operations, conserve=False).findings
    assert finding.kind is FindingKind.HANG
    return finding


def allocations(*pages: int) -> Operations:
    program = Program()
    for count in pages:
        program.alloc(count * PAGE, PAGE)
    return program.operations


def test_the_hang_on_reuse_is_a_page_that_is_its_own_successor() -> None:
    reuse = files("allocators") / "client-reuse" / "client-reuse.elf"
    with load_subject("naive") as subject:
        assert isinstance(subject, GuestSubject)
        client = Client(subject, reuse.read_bytes(), "client-reuse")
        outcome = run_client(client, "reuse", judge=False)
        assert outcome.finding is not None and outcome.finding.kind is FindingKind.HANG
        report = explain_client_hang(client, "reuse", outcome.finding)
        stray = page(subject, 16)
        judged = run_client(client, "reuse")
    assert report.chain is not None and report.chain.nodes == (stray,) and report.chain.cycle == 1
    assert report.function == "hartwell_frame_alloc" and report.lock is None
    assert report.frames[-1].symbol.startswith("scenario_reuse")
    assert f"  {stray:#x} -> {stray:#x}" in report.lines()
    assert "allocators/naive/naive.c:28" in {line.source for line in report.code}
    # Judged, the same is stopped at the step that is illegal.
    assert judged.finding is not None and judged.finding.kind is FindingKind.INVALID_FREE
    assert judged.finding.address == subject.memory.paddr + 16 * PAGE


def test_a_circle_is_shown_in_order(naive: GuestSubject) -> None:
    poke(naive, page(naive, 7), page(naive, 3).to_bytes(8, "little"))
    operations = allocations(1, 64)
    report = explain_hang(naive, hang_of(naive, operations), operations)
    assert report.chain is not None and report.chain.cycle == 5 and report.chain.register.startswith("a")
    circle = [page(naive, number) for number in range(3, 8)]
    start = circle.index(report.chain.nodes[-5])
    assert list(report.chain.nodes[-5:]) == circle[start:] + circle[:start]
    assert report.finding.operation == 1 and report.seen > 10
    assert report.to_json()["chain"]["cycle"] == 5


def test_a_lock_that_is_not_given_back_is_a_deadlock_with_a_name_and_a_holder(naive: GuestSubject) -> None:
    function = naive.text.symbols.find("hartwell_frame_dealloc")
    assert function is not None
    code = disassemble(naive.machine.harts[0].read_memory, Programs([naive.text.image]), function.address, 60)
    unlock = next(each for each in code if each.text.startswith(("sw ", "c.sw ", "amoswap.w ")) and "zero" in each.text)
    poke(naive, unlock.address, NOP.to_bytes(2, "little") * (unlock.size // 2))
    program = Program()
    first = program.alloc(PAGE, PAGE)
    program.alloc(PAGE, PAGE)
    program.dealloc(first)
    program.alloc(PAGE, PAGE)
    report = explain_hang(naive, hang_of(naive, program.operations), program.operations)
    assert report.finding.kind is FindingKind.DEADLOCK and report.lock is not None
    assert report.lock.symbol == "<lock>" and report.lock.value == 1
    assert report.lock.taken is not None and report.lock.taken.operation == 2
    assert report.lock.taken.frames[0].symbol.startswith("hartwell_frame_dealloc")
    [finding] = with_reports(naive, (hang_of(naive, program.operations),), program.operations)
    assert finding.kind is FindingKind.DEADLOCK and finding.report == str(report)
    text = str(report)
    assert "DEADLOCK: Hartwell: " in text and "taken by operation 2, dealloc #0" in text


def test_a_loop_that_waits_for_nothing_is_shown_as_it_is(naive: GuestSubject) -> None:
    poke(naive, naive.text.address("hartwell_frame_alloc"), SELF.to_bytes(2, "little"))
    operations = allocations(1)
    report = explain_hang(naive, hang_of(naive, operations), operations)
    assert report.chain is None and report.lock is None and report.length == 1
    assert [line.instruction.address for line in report.code] == [naive.text.address("hartwell_frame_alloc")]
    assert "It walks along no list" in str(report)


def test_what_is_no_hang_is_not_explained(naive: GuestSubject) -> None:
    with pytest.raises(LabError, match="expected an operation that hangs"):
        explain_hang(naive, Finding(FindingKind.LOST, "", 0), allocations(1))
    with pytest.raises(LabError, match="came back this time"):
        explain_hang(naive, Finding(FindingKind.HANG, "", 0), allocations(1))
