"""Sanitized trials: allocators that store to what is not theirs are caught in the act, clean ones are left alone."""

from __future__ import annotations

import pytest

from emulator.timing import load_profile
from hartwell.lab.finding import FindingKind
from hartwell.lab.operation import Program
from hartwell.lab.subject import Subject, load_subject
from hartwell.lab.subject.guest import GuestSubject
from hartwell.lab.subject.setting import Setting
from hartwell.lab.trial import Trial
from hartwell.lab.workload import workload

STORE_64_BEYOND = 0x04B53023  # sd a1, 64(a0)
RETURN = 0x8082


def patched(subject: Subject, function: str, *instructions: int) -> GuestSubject:
    """The subject, with other instructions at the beginning of a function of the allocator's."""
    assert isinstance(subject, GuestSubject)
    code = b"".join(each.to_bytes(4 if each & 3 == 3 else 2, "little") for each in instructions)
    paddr = subject.machine.harts[0].translate(subject.text.address(function))
    assert paddr is not None
    subject.machine.bus.write(paddr, code)
    subject.keep()
    return subject


@pytest.mark.parametrize("spec", ["slab", "first-fit", "buddy", "buddy-percpu", "bitmap"])
def test_clean_allocators_are_not_accused_and_do_the_same(spec: str) -> None:
    with load_subject(spec, Setting(memory=32 << 20)) as subject:
        trial = Trial(subject)
        for name in ("random", "power-law", "fragmentation"):
            operations = workload(name).operations(subject.kind, subject.memory.size, 700, 3)
            plain, judged = trial.run(operations), trial.run(operations, sanitize=True)
            assert judged.ok, (name, judged.findings)
            assert (judged.results == plain.results).all()
        assert subject.machine.guard is None


def test_a_judged_trial_costs_the_same_cycles_on_any_cpu() -> None:
    with load_subject("buddy", Setting(harts=2, memory=32 << 20, timing=load_profile("rocket"))) as subject:
        operations = workload("random").operations(subject.kind, subject.memory.size, 300, 1)
        plain = Trial(subject).run(operations, 1, conserve=False)
        judged = Trial(subject).run(operations, 1, conserve=False, sanitize=True)
    assert judged.ok and (judged.results == plain.results).all() and judged.results["cycles"].any()


def test_an_allocator_that_stores_into_a_block_is_caught_at_the_instruction() -> None:
    program = Program()
    blocks = [program.alloc(64) for _ in range(3)]
    program.dealloc(blocks[1])
    with load_subject("slab") as subject:
        judged = Trial(patched(subject, "hartwell_heap_dealloc", STORE_64_BEYOND, RETURN)).run(
            program.operations, conserve=False, sanitize=True)
    [finding] = judged.findings
    assert finding.kind is FindingKind.WRITE_TO_LIVE and finding.operation == 3
    assert finding.address == int(judged.results["value"][2])
    report = finding.details["report"]
    assert report["frames"][0]["symbol"] == "hartwell_heap_dealloc"
    assert report["instruction"].split() == ["sd", "a1,", "0x40(a0)"]
    [allocated] = report["past"]
    assert allocated["operation"] == 2 and allocated["words"] == "alloc 64 bytes (align 8) -> #2"
    assert report["during"] == "operation 3, dealloc #1"
    assert (report["block"]["size"], report["block"]["where"]) == (64, "at the beginning of the")


def test_batches_are_counted_through() -> None:
    program = Program()
    kept = program.alloc(64)
    for _ in range(8300):  # more than a batch
        program.check(kept)
    program.alloc(64)
    program.dealloc(kept)
    with load_subject("slab") as subject:
        judged = Trial(patched(subject, "hartwell_heap_dealloc", STORE_64_BEYOND, RETURN)).run(
            program.operations, conserve=False, sanitize=True)
    [finding] = judged.findings
    assert finding.operation == 8302 and finding.details["report"]["past"][0]["operation"] == 8301


def test_a_block_that_is_given_out_twice_is_caught_as_it_is_returned() -> None:
    program = Program()
    first = program.alloc(64)
    program.alloc(64)
    with load_subject("slab") as subject:
        same = patched(subject, "hartwell_heap_alloc", *load_immediate(subject.memory.start))
        judged = Trial(same).run(program.operations, conserve=False, sanitize=True)
    [finding] = judged.findings
    assert finding.kind is FindingKind.OVERLAP and finding.operation == 1 and first == 0
    assert [past["operation"] for past in finding.details["report"]["past"]] == [0]


def test_python_allocators_are_tried_as_ever() -> None:
    program = Program()
    program.dealloc(program.alloc(64))
    with load_subject("osdk-heap") as subject:
        assert Trial(subject).run(program.operations, conserve=False, sanitize=True).ok


def load_immediate(address: int) -> tuple[int, ...]:
    """Instructions that return an address of the linear mapping whose low 12 bits are 0: a0 = 1 << 47 ..., by parts."""
    assert address & 0xFFF == 0
    high, low = address >> 32, address & 0xFFFF_FFFF
    assert high == 0xFFFF_8000
    return (
        (low >> 12) << 12 | 10 << 7 | 0x37,   # lui a0, low        (sign-extended)
        32 << 20 | 10 << 15 | 1 << 12 | 10 << 7 | 0x13,  # slli a0, a0, 32
        32 << 20 | 10 << 15 | 5 << 12 | 10 << 7 | 0x13,  # srli a0, a0, 32
        0x80000 << 12 | 11 << 7 | 0x37,  # lui a1, 0x80000    = 0xffffffff80000000
        16 << 20 | 11 << 15 | 1 << 12 | 11 << 7 | 0x13,  # slli a1, a1, 16 = 0xffff800000000000
        11 << 20 | 10 << 15 | 6 << 12 | 10 << 7 | 0x33,  # or a0, a0, a1
        RETURN,
    )
