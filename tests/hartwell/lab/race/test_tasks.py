"""The Python kernel's atomics: its tasks are searched as harts are, and it is right (R1.8)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hartwell.lab.finding import FindingKind
from hartwell.lab.race.report import again, hunt
from hartwell.lab.race.search import Strategy
from hartwell.lab.race.target import Target, open_target

RACY = '''
class Counting:
    """A bump allocator whose one word is loaded and stored without a lock."""

    def __init__(self, mm):
        self.mm, self.word, self.free = mm, 0, []

    def add_free_memory(self, paddr, size):
        self.free.append((paddr, size))
        if not self.word:
            self.word = paddr
            self.mm.port.store(paddr, paddr + 4096)
            self.end = paddr + size

    def alloc(self, layout):
        at = self.mm.port.load(self.word)
        at = at + layout.align - 1 & -layout.align
        if at + layout.size > self.end:
            return None
        self.mm.port.store(self.word, at + layout.size)
        return at

    def dealloc(self, paddr, size):
        pass
'''


@pytest.fixture(scope="module")
def pages() -> Iterator[Target]:
    with open_target("kernel:pages", 2) as target:
        yield target


def test_the_kernel_s_pages_pass_every_interleaving(pages: Target) -> None:
    report = hunt(pages, 2, Strategy(bound=3))
    assert report.found is None
    assert all(each.complete for each in report.searched)
    assert report.executions > 20


def test_three_cpus_race_for_a_page() -> None:
    with open_target("kernel:pages", 3) as target:
        assert hunt(target, 3, Strategy(bound=1), ["| lock | drop | lookup"]).found is None


def test_a_blind_add_is_found_and_happens_again() -> None:
    with open_target("kernel:pages/blind-add", 2) as target:
        found = hunt(target, 2, Strategy()).found
    assert found is not None
    assert found.race.finding.kind is FindingKind.CHECK
    assert any(step.place == "MetaSlots.drop_holder" and step.source.startswith("meta.py:") for step in found.steps)
    with open_target("kernel:pages/blind-add", 2) as target:
        assert again(target, found.replay, "file").listing() == found.listing()


def test_random_searches_find_it_too() -> None:
    with open_target("kernel:pages/blind-add", 2) as target:
        for name in ("pct", "random"):
            found = hunt(target, 2, Strategy(name, budget=200)).found
            assert found is not None and found.race.preemptions == 1


def test_the_kernel_s_own_frame_allocator_passes() -> None:
    with open_target("osdk-frame", 2) as target:
        report = hunt(target, 2, Strategy(), ["alloc 4096, alloc 4096 | free 0, alloc 4096 | free 1, alloc 4096"])
    assert report.found is None
    assert report.searched[0].complete


def test_an_allocator_in_python_without_a_lock_gives_memory_out_twice(tmp_path: Path) -> None:
    path = tmp_path / "counting.py"
    path.write_text(RACY)
    with open_target(f"{path}:Counting", 2) as target:
        found = hunt(target, 2, Strategy(), ["| alloc 4096 | alloc 4096"]).found
    assert found is not None
    assert found.race.preemptions == 1
    assert found.race.finding.kind in (FindingKind.OVERLAP, FindingKind.CRASH)
    assert any(step.place == "Counting.alloc" for step in found.steps)
