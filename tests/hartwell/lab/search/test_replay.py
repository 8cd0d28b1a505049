"""Replay files: they hold a failure, say where they are damaged, and tell whether the allocator still fails."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from emulator.timing import load_profile
from hartwell.lab.errors import SpecError
from hartwell.lab.finding import Finding, FindingKind
from hartwell.lab.operation import Operations, Program
from hartwell.lab.search import Replay, ReplayError, Verdict, save_replay
from hartwell.lab.subject import Subject, SubjectKind, load_subject
from hartwell.lab.subject.setting import Setting
from hartwell.lab.trial import Trial

from .broken import ALLOC, TRAP, broken

TWICE = """\
from kernel.osdk.frame_allocator import FrameAllocator


class Twice(FrameAllocator):
    def alloc(self, layout):
        found = super().alloc(layout)
        if layout.size == 16384:
            self.kept = getattr(self, "kept", found)
            return self.kept
        return found
"""
FIXED = TWICE.replace("16384", "16385")


def every_kind() -> Operations:
    """A program with one operation of each kind."""
    program = Program()
    first = program.alloc(16384, 8192)
    second = program.split(first, 4096)
    program.check(second)
    program.dealloc(first)
    program.add(8192, 0x3000)
    return program.operations


def replay(**changes: object) -> Replay:
    """A replay with everything that a file can have."""
    values: dict[str, object] = {
        "spec": "./no-such.elf", "kind": SubjectKind.FRAME, "digest": "5f" * 32,
        "setting": Setting(2, 32 << 20, 1 << 20, load_profile("rocket"), 5000, ((0, 4096), (8192, 0x2000))), "cpu": 1,
        "operations": every_kind(), "finding": Finding(FindingKind.CONTENTS, 'at "x"\\ \t\n\x7f \U0001f600é', 3),
        "found": "by hand", "contents": False, "conserve": False, "path": "f.replay", **changes}
    return Replay(**values)  # type: ignore[arg-type]


def same(one: Replay, other: Replay) -> bool:
    """Whether two replays say the same."""
    return bool((one.operations == other.operations).all()) and all(
        getattr(one, name) == getattr(other, name) for name in Replay.__dataclass_fields__ if name != "operations")


@pytest.mark.parametrize("changes", [
    {}, {"found": "", "digest": "", "cpu": 0, "contents": True, "conserve": True},
    {"setting": Setting(), "cpu": 0}, {"finding": Finding(FindingKind.WRITE_TO_LIVE, "")},
    {"setting": Setting(timing=load_profile("u74")), "cpu": 0, "operations": every_kind()[:0],
     "finding": Finding(FindingKind.LOST, "4 KiB are lost")},
])
def test_what_is_written_is_read(changes: dict[str, object]) -> None:
    one = replay(**changes)
    other = Replay.parse(one.text().encode(), "f.replay")
    assert same(one, other) and other.text() == one.text()


def test_a_file_is_for_people(tmp_path: Path) -> None:
    replay().save(str(tmp_path / "f.replay"))
    text = (tmp_path / "f.replay").read_text()
    assert '    "alloc 16,384 bytes (align 8,192) -> #0",\n    "split #0 at 4,096 -> #1",\n' in text
    assert "hartwell debug --replay f.replay" in text and "memory = 33_554_432" in text
    loaded = Replay.load(str(tmp_path / "f.replay"))
    assert loaded.path == str(tmp_path / "f.replay")


@pytest.mark.parametrize("old, new, expected", [
    ("version = 1", "version = 2", "version: 2; expected 1"),
    ("version = 1", "", "has no version"),
    ("version = 1", "version = 1\nvery = 2", "very: there is no such key"),
    ("cpu = 1", "cpu = 2", "program.cpu: 2; expected 0 to 1"),
    ("cpu = 1", "cpu = true", "program.cpu: True; expected a whole number"),
    ("harts = 2", "harts = 9", "machine.harts: 9; expected 1 to 8"),
    ("harts = 2", "", "has no machine.harts; expected a whole number"),
    ("harts = 2", "harts = 2\nhearts = 2", "machine.hearts: there is no such key"),
    ('timing = "rocket"', 'timing = "sprocket"', "machine.timing: .*sprocket"),
    ("[0, 4_096]", "[1, 4_096]", r"machine.pieces: \[1, 4096\]; expected"),
    ("[0, 4_096]", "[0, 4_194_304]", r"machine.pieces: .*inside of 1,048,576"),
    ('kind = "frame"', 'kind = "frames"', "allocator.kind: 'frames'; expected one of frame, heap"),
    ('sha256 = "5f', 'sha256 = "', "allocator.sha256: .*64 hexadecimal digits"),
    ("check #1", "check 1", "program.operations, number 2: 'check 1'; expected"),
    ("check #1", "check #99,999,999,999", "program.operations, number 2"),
    ("check #1", "check #70000", "handle beyond #65535"),
    ("16,384 bytes", "16,385 bytes", "program.operations: operation 0: .*multiple of 4096"),
    ("16,384 bytes", "99,999,999,999,999,999,999 bytes", "number 0"),
    ("add 8,192", "add 16,777,216", "program.operations: operation 4"),
    ("\noperation = 3", "\noperation = 5", "finding.operation: 5; expected 0 to 4"),
    ('kind = "contents"', 'kind = "discontent"', "finding.kind: 'discontent'; expected one of overlap"),
    ("[finding]", "[finding", "is no replay: .*line"),
    ("by hand", "by \udcff", "no UTF-8"),
])
def test_a_damaged_file_says_where(old: str, new: str, expected: str) -> None:
    text = replay().text()
    assert old in text
    with pytest.raises(ReplayError, match=expected) as error:
        Replay.parse(text.replace(old, new, 1).encode("utf-8", "surrogateescape"), "some.replay")
    assert str(error.value).startswith("some.replay: ") and "\n" not in str(error.value)


def test_every_cut_off_file_is_refused() -> None:
    data = replay().text().encode()
    for end in range(0, len(data) - 14, 7):
        with pytest.raises(ReplayError):
            Replay.parse(data[:end], "some.replay")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="no such file"):
        Replay.load(str(tmp_path / "none"))


def test_a_failure_fails_again_until_it_is_mended(tmp_path: Path) -> None:
    (tmp_path / "twice.py").write_text(TWICE)
    program = Program()
    for _ in range(3):
        program.alloc(4096, 4096)
        program.alloc(16384, 4096)
    setting = Setting(memory=32 << 20)
    with load_subject(f"{tmp_path}/twice.py:Twice", setting) as subject:
        outcome = Trial(subject).run(program.operations)
        saved = save_replay(str(tmp_path / "twice.replay"), subject, program.operations, 0, setting,
                            outcome.findings[0], "by hand")
    assert outcome.findings[0].operation == 3 and len(saved.operations) == 4  # what follows is left away
    loaded = Replay.load(str(tmp_path / "twice.replay"))
    replayed = loaded.run()
    assert (replayed.verdict, replayed.changed) == (Verdict.FAILS, False)
    assert replayed.finding is not None and str(replayed.finding) == str(outcome.findings[0])
    (tmp_path / "twice.py").write_text(FIXED)
    replayed = loaded.run()
    assert (replayed.verdict, replayed.changed, replayed.finding) == (Verdict.FIXED, True, None)


def test_an_allocator_that_does_not_even_boot(tmp_path: Path) -> None:
    (tmp_path / "none.py").write_text(TWICE.replace("found = super().alloc(layout)", "return 4096 + 1"))
    one = replay(spec=f"{tmp_path}/none.py:Twice", setting=Setting(memory=32 << 20), cpu=0,
                 finding=Finding(FindingKind.OVERLAP, "x"))
    assert one.run().verdict is Verdict.OTHERWISE


def test_a_spec_is_looked_for_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    for name in ("mine.elf", "mine.py"):
        (tmp_path / "sub" / name).write_text("")
    path = "sub/x.replay"
    assert replay(spec="mine.elf", path=path).located == "sub/mine.elf"
    assert replay(spec="./mine.py:A.b", path=path).located == "sub/./mine.py:A.b"
    assert replay(spec="other.elf", path=path).located == "other.elf"
    assert replay(spec="buddy/missing-merge", path=path).located == "buddy/missing-merge"
    assert replay(spec="some.module:Thing", path=path).located == "some.module:Thing"
    with pytest.raises(SpecError, match=re.escape("./no-such.elf")):
        replay().run()


def test_digests_are_of_what_is_tested(buddy: Subject, tmp_path: Path) -> None:
    import hashlib
    from importlib.resources import files

    elf = (files("allocators") / "buddy" / "buddy.elf").read_bytes()
    assert buddy.digest == hashlib.sha256(elf).hexdigest()
    saved = save_replay(str(tmp_path / "b.replay"), buddy, np.zeros(0, every_kind().dtype), 0, buddy.setting,
                        Finding(FindingKind.LOST, "nothing"))
    assert saved.digest == buddy.digest and saved.run_on(buddy).verdict is Verdict.FIXED


def test_an_allocator_that_fails_in_another_way(tmp_path: Path) -> None:
    program = Program()
    program.alloc(8192, 4096)
    path = broken(tmp_path, ALLOC, TRAP)
    other = replay(spec=str(path), setting=Setting(memory=32 << 20), cpu=0, operations=program.operations,
                   finding=Finding(FindingKind.OVERLAP, "x", 0))
    replayed = other.run()
    assert (replayed.verdict, replayed.changed) == (Verdict.OTHERWISE, True)
    assert replayed.finding is not None and replayed.finding.kind is FindingKind.CRASH
    assert other.run("buddy").verdict is Verdict.FIXED
