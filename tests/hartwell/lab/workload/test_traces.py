"""Traces: files of them round-trip, damaged ones are refused, and recorders write down what really happens."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from hartwell.lab.operation import OPERATION, Kind, Program
from hartwell.lab.subject import Subject, SubjectKind, load_subject
from hartwell.lab.trial import Trial
from hartwell.lab.workload import TraceError, WorkloadError, workload
from hartwell.lab.workload.recorder import Recorder
from hartwell.lab.workload.trace import Trace
from kernel.mm.operations import Moment, Operation, OperationKind
from tests.hartwell.conftest import Hartwell

from .test_workloads import followed

SHIPPED = sorted(entry.name for entry in (files("hartwell.lab.workload") / "traces").iterdir())
GOOD = ("hartwell trace 1\nsource by hand\nframe 4\nalloc 0 16384 4096\nsplit 0 4096 1\nfree 1\nfree 0\n"
        "heap 1\nalloc 0 17 8\n")


def summed(text: str) -> bytes:
    """The text of a trace, with the sum that it needs."""
    return f"{text}sha256 {hashlib.sha256(text.encode()).hexdigest()}\n".encode()


@pytest.mark.parametrize("name", SHIPPED)
def test_a_trace_that_comes_along(name: str) -> None:
    data = (files("hartwell.lab.workload") / "traces" / name).read_bytes()
    trace = Trace.parse(data, name)
    assert trace.text().encode() == data and len(data) < 60_000
    assert len(trace.frame) > 200 and len(trace.heap)
    for kind in SubjectKind:
        followed(trace.of(kind))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    trace = Trace.parse(summed(GOOD), "good")
    assert trace.source == "by hand" and trace.heap.tolist() == [(Kind.ALLOC, 0, 17, 8, 0)]
    assert trace.frame["kind"].tolist() == [Kind.ALLOC, Kind.SPLIT, Kind.DEALLOC, Kind.DEALLOC]
    trace.save(str(tmp_path / "x.trace"))
    assert Trace.load(str(tmp_path / "x.trace")).text() == trace.text()
    assert workload(str(tmp_path / "x.trace")).operations(SubjectKind.HEAP, 4096, 3, 0)["kind"].tolist() == [0, 1, 0]


@pytest.mark.parametrize("old, new, expected", [
    ("hartwell trace 1", "hartwell trace 2", "line 1: a trace of version '2'; expected version 1"),
    ("hartwell trace 1", "hartwell tracing", "is no trace"),
    ("source by hand", "sauce by hand", "line 2: 'sauce by hand'; expected a line 'source ...'"),
    ("frame 4", "frame four", "line 3: 'frame four'; expected 'frame' and how many"),
    ("frame 4", "frame 5", "line 8: 'heap 1'; expected alloc HANDLE"),
    ("frame 4", "frame 3", "line 7: 'free 0'; expected 'heap'"),
    ("alloc 0 16384 4096", "alloc 0 16385 4096", "line 4: 16385 bytes; expected a positive multiple of 4096"),
    ("alloc 0 16384 4096", "alloc 0 16384 2048", "line 4: an alignment of 2048; expected a power of two"),
    ("alloc 0 16384 4096", "alloc 0 16384", "line 4: 'alloc 0 16384'; expected alloc HANDLE SIZE ALIGN"),
    ("alloc 0 16384 4096", "alloc 00 16384 4096", "line 4"),
    ("alloc 0 16384 4096", "alloc 70000 16384 4096", "line 4: handle 70000; expected one below 65536"),
    ("split 0 4096 1", "split 0 4096 0", "line 5: a block of 16384 bytes is split at 4096 into handle 0"),
    ("split 0 4096 1", "split 0 16384 1", "line 5: a block of 16384 bytes is split at 16384"),
    ("free 1", "free 2", "line 6: handle 2 has no block; expected one that has"),
    ("free 1", "alloc 1 4096 4096", "line 6: handle 1; expected one below 65536 that has no block"),
    ("heap 1\nalloc 0 17 8\n", "heap 2\nalloc 0 17 8\nsplit 0 8 1\n", "line 10: a heap block is split; expected"),
    ("alloc 0 17 8\n", "alloc 0 17 8\nalloc 1 17 8\n", "more behind the sum|expected its end"),
])
def test_a_damaged_file_says_where(old: str, new: str, expected: str) -> None:
    assert old in GOOD
    with pytest.raises(TraceError, match=expected) as error:
        Trace.parse(summed(GOOD.replace(old, new, 1)), "bad.trace")
    assert str(error.value).startswith("bad.trace")


def test_every_cut_and_every_flipped_byte_is_noticed() -> None:
    data = summed(GOOD)
    for end in range(len(data) - 1):
        with pytest.raises(TraceError):
            Trace.parse(data[:end], "cut")
    for at in range(len(data) - 1):
        flipped = bytes([*data[:at], data[at] ^ 1, *data[at + 1:]])
        with pytest.raises(TraceError):
            Trace.parse(flipped, "flipped")


def test_files_that_are_no_traces(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"hartwell trace \xff")
    with pytest.raises(TraceError, match="byte 15 is no ASCII"):
        Trace.load(str(tmp_path / "x"))
    with pytest.raises(TraceError, match="no such file"):
        workload("no-such.trace")


def test_a_trace_needs_room() -> None:
    with pytest.raises(WorkloadError, match="16,384 bytes allocated at a time; expected a memory"):
        Trace.parse(summed(GOOD), "good").workload("good").operations(SubjectKind.FRAME, 8192, 4, 0)


# --- recording ----------------------------------------------------------------------------------------------------


def told(kind: OperationKind, address: int | None, size: int, moment: Moment = Moment.RETURN) -> Operation:
    """An operation as the kernel tells of it."""
    return Operation(kind, moment, address, size, 1, 0, 0, "")


def frames(*operations: tuple[int, int]) -> list[tuple[int, ...]]:
    """What is recorded: a positive size is an allocation at an address, a negative one a deallocation."""
    recorder = Recorder()
    for address, size in operations:
        kind = OperationKind.FRAME_ALLOC if size > 0 else OperationKind.FRAME_DEALLOC
        recorder(told(kind, address, abs(size), Moment.CALL))
        recorder(told(kind, address, abs(size)))
    trace = recorder.trace("x")
    Trace.parse(trace.text().encode(), "x")
    return [tuple(row) for row in trace.frame.tolist()]


def test_parts_that_come_back_are_split() -> None:
    K = 4096
    assert frames((8 * K, 4 * K), (9 * K, -K), (8 * K, -K), (10 * K, -2 * K)) == [
        (Kind.ALLOC, 0, 4 * K, K, 0), (Kind.SPLIT, 0, 1, 0, K), (Kind.SPLIT, 1, 2, 0, K), (Kind.DEALLOC, 1, 0, 0, 0),
        (Kind.DEALLOC, 0, 0, 0, 0), (Kind.DEALLOC, 2, 0, 0, 0)]


def test_several_blocks_that_come_back_as_one() -> None:
    K = 4096
    assert [row[:2] for row in frames((8 * K, K), (10 * K, K), (4 * K, -16 * K))] == [
        (Kind.ALLOC, 0), (Kind.ALLOC, 1), (Kind.DEALLOC, 0), (Kind.DEALLOC, 1)]


def test_what_was_handed_out_before_is_not_known() -> None:
    K = 4096
    assert frames((8 * K, -K), (9 * K, K), (8 * K, -K), (10 * K, -K), (9 * K, -K)) == [
        (Kind.ALLOC, 0, K, K, 0), (Kind.DEALLOC, 0, 0, 0, 0)]


def test_any_coming_and_going_is_a_program() -> None:
    random = np.random.default_rng(4)
    owned = np.zeros(64, dtype=bool)
    rows = []
    for _ in range(400):
        first = int(random.integers(0, 64))
        count = int(random.integers(1, 9))
        here = owned[first:first + count]
        if here.all():
            rows.append((first * 4096, -len(here) * 4096))
            here[:] = False
        elif not here.any():
            rows.append((first * 4096, len(here) * 4096))
            here[:] = True
    made = frames(*rows)
    peak, _, _ = followed(np.array(made, dtype=OPERATION))
    assert len(made) > 100 and peak <= 64 * 4096


def test_recording_ends_after_as_many_as_are_wanted() -> None:
    recorder = Recorder(3)
    for number in range(5):
        recorder(told(OperationKind.HEAP_ALLOC, 4096 + 64 * number, 64))
    recorder(told(OperationKind.HEAP_ALLOC, None, 64))
    assert recorder.count(SubjectKind.HEAP) == 3 and recorder.count(SubjectKind.FRAME) == 0


def test_what_a_trial_does_is_what_is_recorded() -> None:
    with load_subject("osdk-heap") as subject:
        recorder = Recorder()
        subject.kernel.mm.operations = recorder
        program = Program()
        first, second = program.alloc(100, 8), program.alloc(5000, 64)
        program.dealloc(first)
        third = program.alloc(32, 32)
        program.dealloc(third)
        program.dealloc(second)
        subject.run(program.operations)
    heap = recorder.trace("x").heap
    assert heap["kind"].tolist() == program.operations["kind"].tolist()
    assert heap["size"].tolist() == program.operations["size"].tolist()
    assert heap["handle"].tolist() == [0, 1, 0, 0, 0, 1]


def test_the_boot_that_comes_along_is_what_is_recorded(hartwell: Hartwell, tmp_path: Path) -> None:
    result = hartwell("record", "boot", "-o", "boot.trace")
    assert result.code == 0 and result.error.startswith("boot.trace: ")
    shipped = (files("hartwell.lab.workload") / "traces" / "boot.trace").read_bytes()
    assert (tmp_path / "boot.trace").read_bytes() == shipped


def test_a_program_is_recorded(hartwell: Hartwell, tmp_path: Path, buddy: Subject) -> None:
    result = hartwell("record", "run", "-o", "x.trace", "--most", "150", "mmaptest")
    assert result.code == 0
    assert "x.trace: 150 operations of frames, 48 of the heap" in result.err
    trace = Trace.load(str(tmp_path / "x.trace"))
    assert trace.source == "hartwell record run mmaptest" and len(trace.frame) == 150
    operations = trace.workload("x").operations(SubjectKind.FRAME, buddy.memory.size, 400, 0)
    assert Trial(buddy).run(operations).ok


def test_what_cannot_be_recorded(hartwell: Hartwell) -> None:
    assert "both" in hartwell("record", "run", "-o", "x.trace", "--ramfs", "both", "cowtest").error
    assert "no such file" in hartwell("record", "run", "-o", "x.trace", "no-such").error
