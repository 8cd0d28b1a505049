"""Files that are not what they should be: replays, races, plans, journals, traces, reports; and files to write."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest

from hartwell.lab.campaign.journal import Journal, JournalError
from hartwell.lab.campaign.plan import Plan, PlanError
from hartwell.lab.cost import measure
from hartwell.lab.cost.compare import compare
from hartwell.lab.cost.saved import load_document
from hartwell.lab.errors import LabError
from hartwell.lab.finding import Finding, FindingKind
from hartwell.lab.operation import Program
from hartwell.lab.race.replay import Replay as Race
from hartwell.lab.race.replay import ReplayError as RaceError
from hartwell.lab.race.replay import load_replay
from hartwell.lab.report.comparison import compare_page
from hartwell.lab.report.terminal import compare_lines
from hartwell.lab.search import save_replay
from hartwell.lab.search.replay import Replay
from hartwell.lab.subject import Subject, SubjectKind
from hartwell.lab.subject.setting import Setting
from hartwell.lab.workload import WorkloadError, workload
from hartwell.lab.workload.trace import Trace
from hartwell.lab.writing import OutputError, write_text

VALUES: Final = (None, True, -1, 0, 1 << 64, float("nan"), float("inf"), 0.5, "", "\x1b[2J\n", "\ud800", [], [[]], {})
EXTREME: Final = (b"", b"\xff\xfe", b"\0" * 50, b"[" * 100_000, b"a=" + b"[" * 20_000, b'{"a":' * 20_000, b"9" * 10_000,
                  b"null", b"[]", b'"', b"a=1")
ROUNDS: Final = 120


def damaged(data: bytes, seed: int) -> Iterator[bytes]:
    """The file with some bytes changed, left away, put in or doubled; cut off; and some that are nothing like it."""
    chance = random.Random(seed)
    for _ in range(ROUNDS):
        at, size = chance.randrange(len(data)), chance.randrange(1, 30)
        yield chance.choice((
            data[:at], data[:at] + data[at + size:], data[:at] + data[at:at + size] + data[at:],
            data[:at] + chance.randbytes(1) + data[at + 1:],
            data[:at] + chance.choice((b"-1", b"1" * 30, b"nan", b"[]", b'""', b"{}")) + data[at + 1:]))
    yield from EXTREME


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value; of lists, the first."""
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, part in parts:
        yield from paths(part, (*path, key))


def attempt(file: Path, data: bytes, load: Callable[[Path], object]) -> None:
    """Any error but a LabError fails the test."""
    file.write_bytes(data)
    with suppress(LabError):
        load(file)


def test_damaged_replays(tmp_path: Path, buddy: Subject) -> None:
    program = Program()
    program.dealloc(program.alloc(4096, 4096))
    file = tmp_path / "a.replay"
    save_replay(str(file), buddy, program.operations, 0, Setting(), Finding(FindingKind.LOST, "gone", 1), "by hand")
    for data in damaged(file.read_bytes(), 1):
        attempt(file, data, lambda path: Replay.load(str(path)))


def test_damaged_races(tmp_path: Path) -> None:
    file = tmp_path / "a.race"
    Race("race-refcount", 2, "", "00", (0, 0, 1, 0), "lost", "00").save(str(file))
    whole = file.read_bytes()
    assert load_replay(str(file)).schedule == (0, 0, 1, 0)
    for data in damaged(whole, 2):
        attempt(file, data, lambda path: load_replay(str(path)))
    plain = json.loads(whole)
    for changed in ({"harts": 1 << 40}, {"harts": 1}, {"turns": [[0, 1_000_000]] * 11}, {"turns": [[2, 1]]}):
        file.write_text(json.dumps(plain | changed))
        with pytest.raises(RaceError, match="expected"):
            load_replay(str(file))


def test_damaged_plans_and_journals(tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    text = b'allocators = ["buddy"]\nworkloads = ["random"]\noperations = [100]\nmemory = "64M"\nseeds = 2\n'
    for data in damaged(text, 3):
        attempt(file, data, lambda path: Plan.load(path).cells())
    plan, journal = Plan(("buddy",)), tmp_path / "journal"
    Journal(journal, plan).close()
    for data in damaged(journal.read_bytes() + b'{"crc": "00000000", "result": {}}\n', 4):
        attempt(journal, data, lambda path: Journal(path, plan).close())


def test_damaged_traces(tmp_path: Path) -> None:
    program = Program()
    for _ in range(3):
        program.dealloc(program.alloc(4096, 4096))
    file = tmp_path / "a.trace"
    Trace("by hand", program.operations, Program().operations, "a").save(str(file))
    body = file.read_bytes().rpartition(b"sha256 ")[0]
    for data in damaged(body, 5):
        attempt(file, data, lambda path: workload(str(path)))
        signed = data + b"sha256 " + hashlib.sha256(data).hexdigest().encode() + b"\n"
        attempt(file, signed, lambda path: workload(str(path)).operations(SubjectKind.FRAME, 1 << 24, 50, 0))


def test_damaged_reports(tmp_path: Path, buddy: Subject) -> None:
    good = measure(buddy, ["lifo"], 40, 1).to_json()
    moments = good["workloads"][0]["fragmentation"]["moments"]
    for name, value in moments.items():  # of some hundred, two are enough
        moments[name] = [each[:2] for each in value] if name in ("unusable", "fragmentation") else value[:2]
    file = tmp_path / "a.json"

    def load(path: Path) -> None:
        found = compare(good, load_document(str(path)), (), 0.05)
        list(compare_lines(found))
        compare_page(found)

    text = json.dumps(good)
    attempt(file, text.encode(), load)
    for data in EXTREME:
        attempt(file, data, load)
    for number, path in enumerate(paths(good)):
        whole = json.loads(text)
        part = {"": whole}
        inner: Any = part
        key: Any = ""
        for step in path:
            inner, key = inner[key], step
        for value in (VALUES[number % len(VALUES)], VALUES[(number * 5 + 3) % len(VALUES)]):
            inner[key] = value
            attempt(file, json.dumps(part[""]).encode(), load)
        if isinstance(inner, dict):
            del inner[key]
            attempt(file, json.dumps(part.get("")).encode(), load)


def test_what_never_ends_is_not_read() -> None:
    with pytest.raises(RaceError, match="not a regular file"):
        load_replay("/dev/zero")
    with pytest.raises(PlanError, match="not a regular file"):
        Plan.load("/dev/zero")
    with pytest.raises(JournalError, match="no regular file"):
        Journal("/dev/zero", Plan(("buddy",)))
    assert len(Plan(("/dev/zero",)).digest) == 64


def test_a_journal_that_cannot_be_written_is_called_so(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot be opened for writing: No such file"):
        Journal(tmp_path / "no" / "journal", Plan(("buddy",)))


def test_more_operations_than_a_host_has_memory_for() -> None:
    with pytest.raises(WorkloadError, match="expected at most 50,000,000"):
        workload("random").operations(SubjectKind.FRAME, 1 << 24, 10**12, 0)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "a"
    write_text(file, "one\udcff\n", "page")
    file.chmod(0o640)
    with pytest.raises(OutputError, match="page .*/no/b: cannot be written: No such file or directory"):
        write_text(tmp_path / "no" / "b", "two", "page")
    with pytest.raises(OutputError, match="cannot be written: Is a directory"):
        write_text(tmp_path, "two", "page")
    with pytest.raises(OutputError, match="cannot be written: No space left"):
        write_text("/dev/full", "two", "page")
    link = tmp_path / "link"
    link.symlink_to(file)
    write_text(link, "two", "page")
    assert link.is_symlink() and file.read_text() == "two" and file.stat().st_mode & 0o777 == 0o640
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "link"]
