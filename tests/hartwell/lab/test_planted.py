"""Planted bugs are found, each as what it is; sound allocators pass everything that finds them.

Races need more than one hart at a time: tests/hartwell/lab/race finds those.
"""

from __future__ import annotations

import pytest

from hartwell.lab.examination import Examined, examine, pieces
from hartwell.lab.finding import FindingKind
from hartwell.lab.oracle import slowness
from hartwell.lab.operation import Program
from hartwell.lab.subject import Subject, load_subject
from hartwell.lab.subject.catalogue import Entry, allocators
from hartwell.lab.subject.setting import Setting
from hartwell.lab.trial import Trial

OURS = ("bitmap", "buddy", "buddy-percpu", "first-fit", "slab")
PLANTED = [entry for entry in allocators() if entry.plant and entry.name.partition("/")[0] in OURS]
RACES = [entry for entry in PLANTED if entry.found_by == ("race",)]


def examined(name: str) -> Examined:
    with load_subject(name, Setting(memory=32 << 20)) as subject:
        return examine(subject)


@pytest.mark.parametrize("name", OURS)
def test_a_sound_allocator_passes(name: str) -> None:
    assert examined(name).findings == ()


@pytest.mark.parametrize("entry", [each for each in PLANTED if each not in RACES], ids=lambda entry: entry.name)
def test_a_planted_bug_is_found(entry: Entry) -> None:
    found = examined(entry.name)
    assert not found.ok, f"{entry.title}: not found by {found.operations} operations"
    assert found.findings[0].kind.value in entry.found_by, str(found.findings[0])


def test_there_are_enough_of_them() -> None:
    kinds = {kind.value for kind in FindingKind}
    assert len(PLANTED) >= 40 and all(entry.found_by and kinds.issuperset(entry.found_by) for entry in PLANTED)
    assert len({entry.title for entry in PLANTED}) >= len(PLANTED) - 1  # frees take no lock, in two of them


def test_time_that_grows_with_the_list_is_a_cost() -> None:
    with load_subject("first-fit") as subject:  # which makes no promise about it
        growth = slowness.measure(subject)
        finding, = growth.findings()
    assert finding.kind is FindingKind.COST and growth.with_many[1] > 8 * growth.with_few[1]


def test_time_that_does_not_grow_is_none(buddy: Subject) -> None:
    assert "bounded-time" in buddy.promises and slowness.measure(buddy).findings() == []


def test_memory_in_pieces_is_never_joined_over_a_gap() -> None:
    with load_subject("buddy", Setting(pieces=pieces(16 << 20))) as subject:
        start = subject.memory.start
        program = Program()
        for _ in range(subject.given // 4096 + 1):
            program.alloc(4096, 4096)
        outcome = Trial(subject).run(program.operations)
        places = {int(value) - start for value in outcome.results["value"] if value}
    assert outcome.ok
    assert places == {at for offset, size in pieces(16 << 20) for at in range(offset, offset + size, 4096)}
