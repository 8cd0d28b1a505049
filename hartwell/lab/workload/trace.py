"""Traces: the frame and heap operations that a real run did, in a file that people can read.

        hartwell trace 1                    the version
        source boot                         what was recorded
        frame 412                           so many operations of frames follow
        alloc 0 16384 4096                  handle, bytes, alignment
        split 0 8192 1                      handle, offset, handle of what is behind it
        free 1                              handle
        heap 96                             and of the heap; handles of their own
        …
        sha256 6f0c…                        of all lines above, with their ends

A file is read whole or refused: every line, the handles' lives, the sum.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from emulator.errors import EmulatorError
from emulator.loader import read_file
from hartwell.lab.operation import OPERATION, Kind, Operations
from hartwell.lab.subject.subject import SubjectKind
from hartwell.lab.writing import write_text

from .errors import TraceError, WorkloadError
from .workload import HANDLES, Demand, Workload

VERSION: Final = 1
_HEAD: Final = "hartwell trace "
_WORDS: Final = {"alloc": (Kind.ALLOC, 3), "free": (Kind.DEALLOC, 1), "split": (Kind.SPLIT, 3)}
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,14}")
_GREATEST: Final = 1 << 48


@dataclass(frozen=True)
class Trace:
    """What was recorded of `source`: operations of each kind of allocator; handles are given out again."""

    source: str
    frame: Operations
    heap: Operations
    name: str = "trace"

    def of(self, kind: SubjectKind) -> Operations:
        """The operations of one kind."""
        return self.frame if kind is SubjectKind.FRAME else self.heap

    @classmethod
    def load(cls, path: str) -> Trace:
        """The trace in a file. TraceError if it cannot be read or is damaged."""
        try:
            data = read_file(path, "trace")
        except EmulatorError as why:
            raise TraceError(str(why)) from None
        return cls.parse(data, path)

    @classmethod
    def parse(cls, data: bytes, name: str) -> Trace:
        """The trace in `data`, called `name`. TraceError says where it is damaged, and how."""
        return _Reader(data, name).trace()

    def text(self) -> str:
        """The trace as its file has it."""
        lines = [f"{_HEAD}{VERSION}", f"source {self.source}"]
        for kind in SubjectKind:
            operations = self.of(kind)
            lines += [f"{kind.value} {len(operations)}", *(_line(operation) for operation in operations)]
        body = "".join(line + "\n" for line in lines)
        return f"{body}sha256 {hashlib.sha256(body.encode()).hexdigest()}\n"

    def save(self, path: str) -> None:
        """Write it to a file. OutputError."""
        write_text(path, self.text(), "trace")

    def workload(self, name: str) -> Workload:
        """The trace as a workload: repeated from a clean start as often as the count asks for, whatever the seed."""
        kinds = tuple(kind for kind in SubjectKind if len(self.of(kind)))
        return Workload(name, f"recorded: {self.source} ({_counts(self)})", self._make, kinds)

    def _make(self, demand: Demand) -> Operations:
        operations = self.of(demand.kind)
        peak, left = _lives(operations)
        if peak > demand.memory:
            raise WorkloadError(f"{self.name}: has {peak:,} bytes allocated at a time; expected a memory of as many at "
                                f"least, not {demand.memory:,}")
        end = np.zeros(len(left), dtype=OPERATION)
        end["kind"], end["handle"] = Kind.DEALLOC, left
        once = np.concatenate([operations, end])
        times = -(-demand.count // len(once))
        return np.tile(once, times)[:demand.count]


def _counts(trace: Trace) -> str:
    return ", ".join(f"{len(trace.of(kind)):,} operations of {'frames' if kind is SubjectKind.FRAME else 'the heap'}"
                     for kind in SubjectKind if len(trace.of(kind)))


def _line(operation: np.void) -> str:
    kind, handle = int(operation["kind"]), int(operation["handle"])
    if kind == Kind.ALLOC:
        return f"alloc {handle} {int(operation['size'])} {int(operation['align'])}"
    if kind == Kind.SPLIT:
        return f"split {handle} {int(operation['offset'])} {int(operation['size'])}"
    return f"free {handle}"


def _lives(operations: Operations) -> tuple[int, list[int]]:
    """The most bytes that are allocated at a time, and the handles that still are at the end."""
    sizes: dict[int, int] = {}
    live = peak = 0
    for kind, handle, size, _, offset in operations.tolist():
        if kind == Kind.ALLOC:
            sizes[handle] = size
            live += size
            peak = max(peak, live)
        elif kind == Kind.SPLIT:
            sizes[size], sizes[handle] = sizes[handle] - offset, offset
        else:
            live -= sizes.pop(handle)
    return peak, list(sizes)


class _Reader:
    """Reads a file, line by line."""

    def __init__(self, data: bytes, name: str) -> None:
        self._data, self._name, self._number = data, name, 0

    def trace(self) -> Trace:
        """The whole of it."""
        try:
            text = self._data.decode("ascii")
        except UnicodeDecodeError as why:
            raise TraceError(f"{self._name}: byte {why.start} is no ASCII; expected a trace in text") from None
        if not text.startswith(_HEAD):
            raise TraceError(f"{self._name}: is no trace: expected it to begin with {_HEAD}{VERSION}")
        lines = iter(text.splitlines())
        version = self._next(lines).removeprefix(_HEAD)
        if version != str(VERSION):
            raise self._error(f"a trace of version {version[:20]!r}", f"version {VERSION}")
        self._check_sum(text)
        source = self._next(lines)
        if not source.startswith("source "):
            raise self._error(repr(source[:40]), "a line 'source ...'")
        parts = {kind: self._part(lines, kind) for kind in SubjectKind}
        self._next(lines)
        if next(lines, None) is not None:
            raise self._error("more behind the sum", "its end")
        return Trace(source.removeprefix("source "), parts[SubjectKind.FRAME], parts[SubjectKind.HEAP], self._name)

    def _error(self, found: str, expected: str) -> TraceError:
        return TraceError(f"{self._name}, line {self._number}: {found}; expected {expected}")

    def _next(self, lines: Iterator[str]) -> str:
        line = next(lines, None)
        self._number += 1
        if line is None:
            raise self._error("the file ends", "another line")
        return line

    def _check_sum(self, text: str) -> None:
        body, found, said = text.rpartition("sha256 ")
        if not found or said.strip() != hashlib.sha256(body.encode()).hexdigest():
            raise TraceError(f"{self._name}: is damaged, or was changed or cut off: expected its last line to be the "
                             "sha256 of all before it")

    def _part(self, lines: Iterator[str], kind: SubjectKind) -> Operations:
        line = self._next(lines)
        word, _, count = line.partition(" ")
        if word != kind.value or not _NUMBER.fullmatch(count):
            raise self._error(repr(line[:40]), f"'{kind.value}' and how many operations follow")
        rows: list[tuple[int, int, int, int, int]] = []
        held: dict[int, int] = {}
        for _ in range(int(count)):
            rows.append(self._operation(self._next(lines), kind, held))
        return np.array(rows, dtype=OPERATION)

    def _operation(self, line: str, kind: SubjectKind, held: dict[int, int]) -> tuple[int, int, int, int, int]:
        """An operation, on blocks of so many bytes as `held` says by handle."""
        word, *texts = line.split(" ")
        if word not in _WORDS or len(texts) != _WORDS[word][1] or not all(map(_NUMBER.fullmatch, texts)):
            raise self._error(repr(line[:40]), "alloc HANDLE SIZE ALIGN, free HANDLE or split HANDLE OFFSET HANDLE")
        what, numbers = _WORDS[word][0], [int(text) for text in texts]
        handle = numbers[0]
        if what is Kind.ALLOC:
            _, size, align = numbers
            unit = kind.granule if kind is SubjectKind.FRAME else 1
            if handle in held or handle >= HANDLES:
                raise self._error(f"handle {handle}", f"one below {HANDLES} that has no block")
            if not 0 < size <= _GREATEST or size % unit:
                raise self._error(f"{size} bytes", f"a positive multiple of {unit}, at most {_GREATEST}")
            if align < kind.granule or align & align - 1 or align > _GREATEST:
                raise self._error(f"an alignment of {align}", f"a power of two, {kind.granule} or more")
            held[handle] = size
            return (what, handle, size, align, 0)
        if handle not in held:
            raise self._error(f"handle {handle} has no block", "one that has")
        if what is Kind.DEALLOC:
            del held[handle]
            return (what, handle, 0, 0, 0)
        _, offset, rest = numbers
        if kind is not SubjectKind.FRAME:
            raise self._error("a heap block is split", "frames")
        if not 0 < offset < held[handle] or offset % kind.granule or rest in held or rest >= HANDLES:
            raise self._error(f"a block of {held[handle]} bytes is split at {offset} into handle {rest}",
                              f"a multiple of {kind.granule} inside of it, and a handle without a block")
        held[rest], held[handle] = held[handle] - offset, offset
        return (what, handle, rest, 0, offset)
