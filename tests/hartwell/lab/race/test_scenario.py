"""Scenarios: text that says what each CPU does."""

from __future__ import annotations

import pytest

from hartwell.lab.errors import ProgramError
from hartwell.lab.race.scenario import parse_scenario, stock
from hartwell.lab.subject.subject import SubjectKind

FRAME, HEAP = SubjectKind.FRAME, SubjectKind.HEAP


@pytest.mark.parametrize("text", [
    "| alloc 4096 | alloc 8192 16384", "alloc 4096 | free 0, alloc 4096, free 1 | alloc 4096",
    "alloc 4096, alloc 4096 | free 0 | free 1 | alloc 4096"])
def test_what_is_parsed_is_what_was_written(text: str) -> None:
    assert str(parse_scenario(text, FRAME)) == text


@pytest.mark.parametrize("kind", SubjectKind)
@pytest.mark.parametrize("harts", [2, 3])
def test_those_that_come_along_are_for_all_harts_and_can_be_written(kind: SubjectKind, harts: int) -> None:
    found = stock(kind, harts, 1)
    assert len(found) == 10
    assert all(len(scenario.threads) == harts and all(scenario.threads) for scenario in found)
    assert [parse_scenario(str(scenario), kind) for scenario in found] == found
    assert stock(kind, harts, 1) == found != stock(kind, harts, 2)


@pytest.mark.parametrize(("text", "said"), [
    ("alloc 4096 | alloc 4096", "two CPUs"), ("| alloc 1 | ", "multiple of 4096"), ("| alloc | ", "'alloc'"),
    ("| alloc 4096 12 | ", "power of two"), ("| grab 1 | ", "'grab 1'"), ("| alloc x | ", "'alloc x'"),
    ("| alloc 4096 | free 0", "CPU 1: free 0"), ("| free 0 | ", "CPU 0: free 0"),
    ("alloc 4096 | free 0 | free 0", "freed twice"), ("alloc 4096, free 0 | free 0 | ", "freed twice")])
def test_what_makes_no_sense_is_refused(text: str, said: str) -> None:
    with pytest.raises(ProgramError, match=said):
        parse_scenario(text, FRAME)


def test_heaps_allocate_any_size() -> None:
    assert str(parse_scenario("| alloc 1 1 | alloc 24", HEAP)) == "| alloc 1 1 | alloc 24"
