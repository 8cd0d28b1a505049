"""Allocators that others wrote, unmodified: what the lab says of them (docs/lab-abi.md tells it).

`make -C allocators foreign` builds them, of Debian's packages picolibc-riscv64-unknown-elf and newlib-source.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import allocators
from hartwell.lab.finding import FindingKind
from hartwell.lab.oracle import slowness
from hartwell.lab.subject import Subject, load_subject
from hartwell.lab.subject.guest import GuestSubject
from hartwell.lab.trial import Outcome, Trial
from hartwell.lab.workload.catalogue import workload

FOLDER = Path(allocators.__file__).parent / "build" / "foreign"
COUNT = 5_000


@pytest.fixture
def foreign(request: pytest.FixtureRequest) -> Callable[[str], Subject]:
    """Loads one of them by name; skips where they have not been built."""
    def load(name: str) -> Subject:
        path = FOLDER / f"{name}.elf"
        if not path.is_file():
            pytest.skip(f"no {path.name}: make -C allocators foreign builds it")
        subject = load_subject(str(path))
        request.addfinalizer(subject.close)
        return subject

    return load


def tried(subject: Subject, name: str) -> Outcome:
    return Trial(subject).run(workload(name).operations(subject.kind, subject.memory.size, COUNT, 1))


def test_picolibcs_malloc_is_not_aligned_for_every_type(foreign: Callable[[str], Subject]) -> None:
    outcome = tried(foreign("picolibc"), "random")  # malloc for alignments up to 16, which is alignof(max_align_t)
    assert {finding.kind for finding in outcome.findings} == {FindingKind.MISALIGNED}
    assert {int(outcome.operations[finding.operation]["align"]) for finding in outcome.findings
            if finding.operation is not None} == {16}


@pytest.mark.parametrize("name", ["random", "aligned", "fragmentation"])
def test_picolibcs_malloc_is_right_otherwise(foreign: Callable[[str], Subject], name: str) -> None:
    assert tried(foreign("picolibc-aligned"), name).findings == ()


@pytest.mark.parametrize("allocator", ["newlib", "newlib-nano"])
@pytest.mark.parametrize("name", ["random", "lifo", "fragmentation"])
def test_newlibs_mallocs_are_right(foreign: Callable[[str], Subject], allocator: str, name: str) -> None:
    assert tried(foreign(allocator), name).findings == ()


def test_newlibs_small_memalign_overflows(foreign: Callable[[str], Subject]) -> None:
    given = {}
    for name in ("newlib", "newlib-nano", "picolibc"):
        subject = foreign(name)
        assert isinstance(subject, GuestSubject)
        given[name] = subject.call(0, subject.text.address("hartwell_heap_alloc"), (1 << 64) - 4096, 1 << 20)
    assert given["newlib"] == given["picolibc"] == 0 and given["newlib-nano"] != 0  # CVE-2021-3420


def test_what_calls_take_grows_with_the_free_list_of_the_small_ones(foreign: Callable[[str], Subject]) -> None:
    assert slowness.measure(foreign("newlib")).findings() == []
    for name in ("newlib-nano", "picolibc"):
        finding, = slowness.measure(foreign(name)).findings()
        assert finding.kind is FindingKind.COST
