"""The journal: what a campaign has done so far, on disk, so that it can be interrupted at any moment and go on.

        line 1      {"hartwell": "campaign", "version": 1, "plan": DIGEST}
        line n      {"crc": 8 hex digits, "result": {…}}      one for each finished cell, in the order of finishing

Each line is written whole and forced to the disk before the next cell is counted as done. A last line that was cut
off, by a crash or a full disk, is dropped when the journal is opened again; anything else that is not as it was
written is a JournalError.
"""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

from hartwell.lab.errors import LabError

from .plan import Cell, Plan, PlanError
from .report import CellResult

VERSION: Final = 1


class JournalError(LabError):
    """A journal that is none, is of another plan, or is damaged; says which line, and what was expected."""


class Journal:
    """The journal of `plan` in the file at `path`, which is made if there is none. Close it, or use a `with` block.

    `results` are those of cells that were finished before. JournalError. A second campaign cannot open it.
    """

    def __init__(self, path: str | Path, plan: Plan) -> None:
        self.path = Path(path)
        self.results: dict[Cell, CellResult] = {}
        if self.path.exists() and not self.path.is_file():  # /dev/zero never ends
            raise JournalError(f"{self.path}: is no regular file; expected a journal, or a new name")
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as why:
            raise JournalError(f"{self.path}: cannot be opened for writing: {why.strerror or why}") from None
        self._file: BinaryIO = os.fdopen(file, "r+b")
        try:
            self._lock()
            self._read(plan)
        except BaseException:
            self._file.close()
            raise

    def _lock(self) -> None:
        try:
            import fcntl
        except ImportError:  # no POSIX: nobody keeps two campaigns apart
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JournalError(f"{self.path}: another campaign is writing to it") from None

    def _read(self, plan: Plan) -> None:
        text = self._file.read()
        whole = text.rfind(b"\n") + 1
        lines = text[:whole].splitlines()
        header = {"hartwell": "campaign", "version": VERSION, "plan": plan.digest}
        if not lines:
            # Nothing but a header that was cut off, if that: anybody else's file is not written over.
            if text and not _line(header).startswith(text):
                raise JournalError(f"{self.path}: line 1: is no campaign's journal")
            self._file.truncate(0)
            self._file.seek(0)
            self._write(header)
            return
        found = self._parse(lines[0], 1)
        if found.get("hartwell") != "campaign" or found.get("version") != VERSION:
            raise JournalError(f"{self.path}: line 1: is no campaign's journal of version {VERSION}")
        if found.get("plan") != plan.digest:
            raise JournalError(f"{self.path}: is the journal of another plan; expected that of {plan.digest[:12]}. "
                               "Give another file, or remove this one")
        cells = set(plan.cells())
        for number, line in enumerate(lines[1:], 2):
            result = self._result(line, number)
            if result.cell not in cells:
                raise JournalError(f"{self.path}: line {number}: {result.cell.name} is no cell of the plan")
            self.results[result.cell] = result
        self._file.truncate(whole)
        self._file.seek(whole)

    def _parse(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise JournalError(f"{self.path}: line {number}: expected a JSON object")
        return found

    def _result(self, line: bytes, number: int) -> CellResult:
        found = self._parse(line, number)
        plain = found.get("result")
        if not isinstance(plain, dict) or found.get("crc") != _crc(plain):
            raise JournalError(f"{self.path}: line {number}: is damaged: its checksum is not that of its result")
        try:
            return CellResult.from_json(plain)
        except PlanError as why:
            raise JournalError(f"{self.path}: line {number}: {why}") from None

    def add(self, result: CellResult) -> None:
        """Write down what came of a cell; on the disk when this returns."""
        plain = result.to_json()
        self._write({"crc": _crc(plain), "result": plain})
        self.results[result.cell] = result

    def _write(self, value: dict[str, Any]) -> None:
        self._file.write(_line(value))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True).encode() + b"\n"


def _crc(plain: dict[str, Any]) -> str:
    return f"{zlib.crc32(json.dumps(plain, sort_keys=True).encode()):08x}"
