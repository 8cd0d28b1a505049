"""The conformance suite: what it asks, whom it lets pass, and what it says of those that it does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from hartwell.lab.conformance.check import Level
from hartwell.lab.conformance.grading import Grades, grade
from hartwell.lab.conformance.junit import junit
from hartwell.lab.conformance.report import explanation
from hartwell.lab.conformance.setting import suite_setting
from hartwell.lab.conformance.suite import CHECKS, SuiteError, offers, suite
from hartwell.lab.finding import FindingKind
from hartwell.lab.subject import Subject, SubjectKind, load_subject
from tests.hartwell.conftest import forked
from tests.hartwell.forkserver import ForkServer

Broken = Callable[[str], Path]


@pytest.fixture
def broken(tmp_path: Path) -> Broken:
    """Writes a subclass of the kernel's frame allocator, with some methods of its own; the file."""

    def write(body: str) -> Path:
        file = tmp_path / "broken.py"
        file.write_text("from kernel.osdk.frame_allocator import FrameAllocator\n"
                        f"class Broken(FrameAllocator):\n{body}\n")
        return file

    return write


def graded(spec: str, *only: str) -> Grades:
    with load_subject(spec, suite_setting(spec)) as subject:
        return grade(subject, suite(subject.kind, offers(subject), only=only))


def kinds(grades: Grades) -> dict[str, list[FindingKind]]:
    return {each.check.name: [finding.kind for finding in each.findings] for each in grades.grades if not each.ok}


# --- what is asked --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SubjectKind)
def test_a_hundred_points(kind: SubjectKind) -> None:
    assert sum(check.points for check in suite(kind)) == 100
    assert sum(check.points for check in suite(kind, ["refuses-misuse"])) == 100
    names = [check.name for check in suite(kind)]
    assert len(set(names)) == len(names)
    assert all(check.about and check.title and check.oracle for check in CHECKS)


def test_levels_go_up_and_each_has_checks() -> None:
    levels = [check.level for check in CHECKS]
    assert levels == sorted(levels) and set(levels) == set(Level)
    assert {check.level for check in suite(SubjectKind.FRAME, level=Level.COMPLETE)} == {Level.BASIC, Level.COMPLETE}


def test_a_promise_is_asked_of_those_that_make_it() -> None:
    assert "misuse" not in [check.name for check in suite(SubjectKind.HEAP)]
    assert "misuse" in [check.name for check in suite(SubjectKind.HEAP, ["refuses-misuse"])]


def test_only_what_is_named() -> None:
    assert [check.name for check in suite(SubjectKind.FRAME, only=["merge", "one"])] == ["one", "merge"]
    with pytest.raises(SuiteError, match="no check of a heap allocator is called parts: expected one of one, sizes"):
        suite(SubjectKind.HEAP, only=["parts"])


# --- who passes -----------------------------------------------------------------------------------------------


def test_the_same_grades_every_time(buddy: Subject) -> None:
    checks = suite(SubjectKind.FRAME, only=["contents", "full", "at-once"])
    one, two = (grade(buddy, checks, seed=5) for _ in range(2))
    assert one.to_json() == two.to_json() and one.ok
    assert all(each.operations > 0 for each in one.grades)
    other = grade(buddy, suite(SubjectKind.FRAME, only=["full"]), seed=6)
    assert other.ok


# --- what is said of the others ---------------------------------------------------------------------------------


def test_what_is_said_of_a_failure(broken: Broken) -> None:
    file = broken("    def dealloc(self, paddr, size):\n"
                  "        if size < 50 * 4096: super().dealloc(paddr, size)\n")
    grades = graded(f"{file}:Broken", "one", "reuse")
    assert kinds(grades)["reuse"][0] is FindingKind.EXHAUSTED and grades.level is Level.BASIC
    failed = grades.grades[-1]
    assert (failed.points, grades.points, grades.of) == (0, 5, 11)
    said = explanation(grades, failed)
    assert said[0].startswith("exhausted: alloc ") and "... and 1 more like these" in said
    assert said[-1] == f"next: hartwell test {file}:Broken --only reuse --save-replay bug.replay"
    assert explanation(grades, failed, "bug.replay")[-1] == "next: hartwell debug --replay bug.replay"


def test_an_allocator_that_forgets_alignment(broken: Broken) -> None:
    file = broken("    def alloc(self, layout):\n"
                  "        from kernel.mm.layout import Layout\n"
                  "        return super().alloc(Layout(layout.size, 4096))\n")
    grades = graded(f"{file}:Broken", "one", "alignments")
    assert FindingKind.MISALIGNED in kinds(grades)["alignments"]
    failed = grades.grades[1]
    finding = failed.findings[0]
    assert failed.history()[-1].startswith(f"{finding.operation}: alloc 4,096 bytes (align ")
    assert f"operation {finding.operation}" in explanation(grades, failed)[0]


def test_an_allocator_that_does_not_come_back(broken: Broken) -> None:
    file = broken("    def alloc(self, layout):\n"
                  "        while layout.size == 20480: pass\n"
                  "        return super().alloc(layout)\n")
    grades = graded(f"{file}:Broken", "one", "odd-sizes")
    assert kinds(grades) == {"odd-sizes": [FindingKind.HANG]}


# --- planted bugs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, check, kind", [
    ("bitmap/size-truncated", "impossible", FindingKind.OUT_OF_RANGE),
    ("buddy/align-ignored", "alignments", FindingKind.MISALIGNED),
    ("buddy/merge-past-end", "in-turn", FindingKind.OUT_OF_RANGE),
    ("buddy/added-remainder-lost", "pieces", FindingKind.LOST),
    ("buddy/tail-lost", "odd-sizes", FindingKind.LOST),
    ("buddy/missing-merge", "merge", FindingKind.SPLINTERED),
    ("buddy/writes-into-allocated", "contents", FindingKind.CONTENTS),
    ("buddy/double-free-accepted", "misuse", FindingKind.ACCEPTED),
    ("buddy/slow-free", "bounded-time", FindingKind.COST),
    ("buddy/not-zeroed", "zeroed", FindingKind.NOT_ZEROED),
    ("buddy/missing-lock", "at-once", FindingKind.CRASH),
    ("buddy-percpu/caches-kept", "in-turn", FindingKind.LOST),
    ("first-fit/joins-over-gap", "full", FindingKind.OVERLAP),
    ("first-fit/list-cycle", "load", FindingKind.HANG),
    ("slab/short-run", "reuse", FindingKind.EXHAUSTED),
])
def test_a_planted_bug_fails_the_check_that_is_for_it(name: str, check: str, kind: FindingKind) -> None:
    assert kinds(graded(name, check))[check][0] is kind


# --- JUnit ----------------------------------------------------------------------------------------------------


def test_junit_is_as_pytest_writes_it(broken: Broken, pytester_xml: ET.Element) -> None:
    file = broken("    def dealloc(self, paddr, size):\n"
                  "        if size == 12288: raise RuntimeError('no \\x01 <&>')\n"
                  "        super().dealloc(paddr, size)\n")
    grades = graded(f"{file}:Broken", "one", "sizes")
    text = junit(grades)
    assert text == junit(grades)
    document = ET.fromstring(text)
    ours, theirs = _shape(document), _shape(pytester_xml)
    assert set(ours) - {"properties", "property"} <= set(theirs)
    for tag, attributes in ours.items():
        assert tag in ("properties", "property") or attributes <= theirs[tag] | {"type"}, tag
    (suite_of,) = document
    assert (suite_of.get("tests"), suite_of.get("failures"), suite_of.get("time")) == ("2", "1", "0.000")
    failure = document.find(".//failure")
    assert failure is not None and "RuntimeError at broken.py:4" in (failure.text or "")
    assert "no \\x01 <&>" in (failure.get("message") or "")
    assert "next: hartwell test" in (failure.text or "")
    assert {case.get("time") for case in document.iter("testcase")} == {"0.000"}
    assert {case.get("time") for case in ET.fromstring(junit(grades, times=True)).iter("testcase")} != {"0.000"}


@pytest.fixture
def pytester_xml(forks: ForkServer, tmp_path: Path) -> ET.Element:
    """What pytest writes of a test that passes and one that fails."""
    (tmp_path / "test_two.py").write_text("def test_ok(): pass\ndef test_not(): assert False\n")
    forked(forks, tmp_path, "pytest", ["-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", ".",
                                       "--junitxml=out.xml", "test_two.py"])
    return ET.parse(tmp_path / "out.xml").getroot()


def _shape(root: ET.Element) -> dict[str, set[str]]:
    """The attributes of each kind of element."""
    found: dict[str, set[str]] = {}
    for element in root.iter():
        found.setdefault(element.tag, set()).update(element.attrib)
    return found
