"""Where two lists of mappings differ: in the largest runs, against a comparison page by page."""

from __future__ import annotations

import random

import pytest

from kernel.picture import Mapping, MappingChange, MappingChangeKind, mapping_changes

PAGE = 4096
RW, R = 0xC6, 0xC2
Page = tuple[int, int, bool]


def mapping(start: int, end: int, paddr: int, bits: int = RW, tracked: bool = False) -> Mapping:
    """Pages `start` to `end`, by number."""
    return Mapping(start * PAGE, end * PAGE, paddr * PAGE, bits, tracked, (end - start, 0, 0, 0))


def briefly(changes: tuple[MappingChange, ...]) -> list[tuple[MappingChangeKind, int, int]]:
    return [(change.kind, change.start // PAGE, change.size // PAGE) for change in changes]


def test_a_run_that_was_two_and_is_one_has_not_changed() -> None:
    assert mapping_changes([mapping(0, 2, 50), mapping(2, 4, 52)], [mapping(0, 4, 50)]) == ()


def test_one_change_over_two_old_runs_is_one() -> None:
    before = [mapping(0, 2, 50), mapping(2, 4, 52)]
    assert briefly(mapping_changes(before, [])) == [(MappingChangeKind.REMOVED, 0, 4)]
    assert briefly(mapping_changes([], before)) == [(MappingChangeKind.ADDED, 0, 4)]
    assert briefly(mapping_changes(before, [mapping(0, 4, 50, R)])) == [(MappingChangeKind.RIGHTS, 0, 4)]


def test_what_leads_elsewhere_page_by_page_is_two() -> None:
    assert briefly(mapping_changes([mapping(0, 2, 50), mapping(2, 4, 99)], [])) == \
        [(MappingChangeKind.REMOVED, 0, 2), (MappingChangeKind.REMOVED, 2, 2)]


def test_whether_pages_are_counted_counts() -> None:
    assert briefly(mapping_changes([mapping(0, 1, 5)], [mapping(0, 1, 5, tracked=True)])) == \
        [(MappingChangeKind.RIGHTS, 0, 1)]


def test_the_last_page_of_the_address_space_is_one_as_every_other() -> None:
    last = (1 << 52) - 1
    (change,) = mapping_changes([], [mapping(last, last + 1, 5)])
    assert (change.start, change.end, change.rights()) == (last * PAGE, 1 << 64, ("", "rw---ad"))


def drawn(draw: random.Random) -> list[Mapping]:
    """A few mappings in 60 pages, ascending."""
    edges = sorted(draw.sample(range(60), 2 * draw.randrange(1, 8)))
    return [mapping(start, end, draw.choice((start, start + 5, 100 + start)), draw.choice((RW, R)), draw.random() < 0.5)
            for start, end in zip(edges[::2], edges[1::2], strict=True)]


def by_page(mappings: list[Mapping]) -> dict[int, Page]:
    return {va: (each.paddr + va - each.start, each.bits, each.tracked)
            for each in mappings for va in range(each.start, each.end, PAGE)}


@pytest.mark.parametrize("seed", range(200))
def test_changes_are_what_a_comparison_page_by_page_finds(seed: int) -> None:
    draw = random.Random(seed)
    before, after = drawn(draw), drawn(draw)
    old, new = by_page(before), by_page(after)
    found = {}
    for change in mapping_changes(before, after):
        for va in range(change.start, change.end, PAGE):
            found[va] = tuple(None if side is None else (side[0] + va - change.start, *side[1:])
                              for side in (change.before, change.after))
    assert found == {va: (old.get(va), new.get(va)) for va in old.keys() | new.keys() if old.get(va) != new.get(va)}
