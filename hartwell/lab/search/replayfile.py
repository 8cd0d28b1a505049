"""The replay file: a TOML file that people can read, change and mail.

    # A failure of an allocator, written by Hartwell's lab.
    #     hartwell lab replay bug.replay          whether it still fails
    #     hartwell debug --replay bug.replay      the debugger, at the failure; time goes backwards from there
    version = 1
    found = "workload random, seed 3: operation 128 of 300; shrunk to 4"        # optional

    [allocator]
    spec = "./mine/allocator.elf"               # SPEC, as other commands take it; also looked for beside this file
    kind = "frame"                              # or "heap"
    sha256 = "6f0c..."                          # of the ELF or the .py when this was written; "" if it is not known

    [machine]
    harts = 1
    memory = 67_108_864                         # bytes
    given = 16_777_216                          # bytes that the allocator gets; optional: a quarter of the memory
    pieces = [[0, 4096], [8192, 4096]]          # … in pieces: offset, bytes; optional: as a whole
    timing = "off"                              # or a core's profile, `hartwell profiles`
    budget = 1_000_000                          # instructions, or lines of Python, that a call may take

    [program]
    cpu = 0
    contents = true                             # blocks are filled, and looked at
    conserve = true                             # in the end everything is given back, and must be to be had again
    operations = [
        "alloc 8,192 bytes (align 4,096) -> #0",        # what `hartwell.lab.operation.describe` says
        "split #0 at 4,096 -> #1",
        "check #1",
        "dealloc #0",
        "add 4,096 bytes at offset 0x1000",
    ]

    [finding]
    kind = "overlap"
    what = "..."
    operation = 3                               # its number, from 0 on; left out: it is seen at the end

A file is read whole or refused, with the place and what was expected there.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from emulator.errors import EmulatorError
from hartwell.lab.errors import LabError
from hartwell.lab.finding import Finding, FindingKind
from hartwell.lab.operation import OPERATION, Kind, Operations, describe, handles_of
from hartwell.lab.subject.driver import HANDLES
from hartwell.lab.subject.setting import Setting
from hartwell.lab.subject.subject import Memory, SubjectKind, require_program

from .errors import ReplayError

VERSION: Final = 1
HEAD: Final = """\
# A failure of an allocator, written by Hartwell's lab.
#     hartwell lab replay {file}          whether it still fails
#     hartwell debug --replay {file}      the debugger, at the failure; time goes backwards from there
"""
_NUMBER: Final = r"(0x[0-9a-f]{1,16}|[0-9][0-9,]{0,25})"
_FORMS: Final = (
    (Kind.ALLOC, re.compile(rf"alloc {_NUMBER} bytes \(align {_NUMBER}\) -> #{_NUMBER}")),
    (Kind.DEALLOC, re.compile(rf"dealloc #{_NUMBER}")),
    (Kind.CHECK, re.compile(rf"check #{_NUMBER}")),
    (Kind.SPLIT, re.compile(rf"split #{_NUMBER} at {_NUMBER} -> #{_NUMBER}")),
    (Kind.ADD, re.compile(rf"add {_NUMBER} bytes at offset {_NUMBER}")),
)
_MOST_HARTS: Final = 8
_MOST_MEMORY: Final = 1 << 36


@dataclass(frozen=True)
class Contents:
    """What is in a file; see Replay."""

    spec: str
    kind: SubjectKind
    digest: str
    setting: Setting
    cpu: int
    operations: Operations
    finding: Finding
    found: str
    contents: bool
    conserve: bool


# --- writing -------------------------------------------------------------------------------------------------


def text(contents: Contents, file: str = "FILE") -> str:
    """The file of `contents`, which will be called `file`."""
    setting, finding = contents.setting, contents.finding
    machine = [f"harts = {setting.harts}", f"memory = {setting.memory:_}"]
    if setting.given is not None:
        machine.append(f"given = {setting.given:_}")
    if setting.pieces:
        machine.append("pieces = [" + ", ".join(f"[{offset:_}, {size:_}]" for offset, size in setting.pieces) + "]")
    machine += [f"timing = {_quoted('off' if setting.timing is None else setting.timing.name)}",
                f"budget = {setting.budget:_}"]
    program = [f"cpu = {contents.cpu}", f"contents = {_truth(contents.contents)}",
               f"conserve = {_truth(contents.conserve)}", "operations = [",
               *(f"    {_quoted(describe(operation))}," for operation in contents.operations), "]"]
    found = [f"kind = {_quoted(finding.kind.value)}", f"what = {_quoted(finding.what)}"]
    if finding.operation is not None:
        found.append(f"operation = {finding.operation}")
    allocator = [f"spec = {_quoted(contents.spec)}", f"kind = {_quoted(contents.kind.value)}",
                 f"sha256 = {_quoted(contents.digest)}"]
    first = [f"version = {VERSION}", *([f"found = {_quoted(contents.found)}"] if contents.found else [])]
    parts = [first, ["[allocator]", *allocator], ["[machine]", *machine], ["[program]", *program],
             ["[finding]", *found]]
    return HEAD.format(file=file) + "\n\n".join("\n".join(part) for part in parts) + "\n"


def _truth(value: bool) -> str:
    return "true" if value else "false"


def _quoted(value: str) -> str:
    """A TOML string."""
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
    return '"' + "".join(escapes.get(c) or (c if c.isprintable() else f"\\U{ord(c):08x}") for c in value) + '"'


# --- reading -------------------------------------------------------------------------------------------------


def parse(data: bytes, name: str) -> Contents:
    """What is in a file called `name`. ReplayError."""
    try:
        found = tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as why:
        raise ReplayError(f"{name}: byte {why.start} is no UTF-8; expected a replay, in text") from None
    except (ValueError, RecursionError) as why:
        raise ReplayError(f"{name}: is no replay: {why}; expected a TOML file as hartwell lab search --save "
                          "writes it") from None
    return _Reader(name).contents(found)


class _Reader:
    """Reads the tables of a file, each wholly."""

    def __init__(self, name: str) -> None:
        self._name = name

    def contents(self, found: dict[str, Any]) -> Contents:
        """All of it."""
        version = self._take("", found, "version", int)
        if version != VERSION:
            raise self._error("version", version, f"{VERSION}, which this Hartwell reads")
        said = self._take("", found, "found", str, "")
        allocator, machine, program, finding = (
            self._take("", found, each, dict) for each in ("allocator", "machine", "program", "finding"))
        self._end("", found)
        kind = self._choice("allocator", allocator, SubjectKind)
        setting = self._setting(machine)
        operations = self._operations(program, kind, setting)
        cpu = self._number("program", program, "cpu", range(setting.harts))
        result = Contents(
            self._take("allocator", allocator, "spec", str), kind, self._digest(allocator), setting, cpu, operations,
            self._finding(finding, len(operations)), said, self._take("program", program, "contents", bool),
            self._take("program", program, "conserve", bool))
        for table, rest in (("allocator", allocator), ("machine", machine), ("program", program), ("finding", finding)):
            self._end(table, rest)
        return result

    def _error(self, where: str, value: object, expected: str) -> ReplayError:
        shown = repr(value)
        return ReplayError(f"{self._name}: {where}: {shown if len(shown) <= 80 else shown[:77] + '...'}; expected "
                           f"{expected}")

    def _take(self, table: str, found: dict[str, Any], key: str, kind: type, default: Any = None) -> Any:
        """The value of a key, which is then done with."""
        where = f"{table}.{key}" if table else key
        if key not in found:
            if default is not None:
                return default
            raise ReplayError(f"{self._name}: has no {where}; expected {_KINDS[kind]}")
        value = found.pop(key)
        if type(value) is not kind:
            raise self._error(where, value, _KINDS[kind])
        return value

    def _end(self, table: str, found: dict[str, Any]) -> None:
        for key in found:
            raise ReplayError(f"{self._name}: {f'{table}.' if table else ''}{key}: there is no such key; "
                              f"expected only those of version {VERSION}")

    def _number(self, table: str, found: dict[str, Any], key: str, within: range) -> int:
        value: int = self._take(table, found, key, int)
        if value not in within:
            raise self._error(f"{table}.{key}", value, f"{within.start:,} to {within.stop - 1:,}")
        return value

    def _choice(self, table: str, found: dict[str, Any], choices: Any) -> Any:
        value = self._take(table, found, "kind", str)
        for each in choices:
            if each.value == value:
                return each
        raise self._error(f"{table}.kind", value, "one of " + ", ".join(each.value for each in choices))

    def _digest(self, found: dict[str, Any]) -> str:
        value: str = self._take("allocator", found, "sha256", str, "")
        if value and not re.fullmatch("[0-9a-f]{64}", value):
            raise self._error("allocator.sha256", value, "64 hexadecimal digits, or none")
        return value

    def _setting(self, found: dict[str, Any]) -> Setting:
        from emulator.timing import load_profile

        harts = self._number("machine", found, "harts", range(1, _MOST_HARTS + 1))
        memory = self._number("machine", found, "memory", range(1 << 20, _MOST_MEMORY + 1))
        given = self._number("machine", found, "given", range(4096, memory)) if "given" in found else None
        budget = self._number("machine", found, "budget", range(1, 1 << 48))
        timing = self._take("machine", found, "timing", str)
        try:
            profile = None if timing == "off" else load_profile(timing)
        except EmulatorError as why:
            raise ReplayError(f"{self._name}: machine.timing: {why}") from None
        setting = Setting(harts, memory, given, profile, budget)
        pieces = self._take("machine", found, "pieces", list, [])
        for piece in pieces:
            if (type(piece) is not list or [type(part) for part in piece] != [int, int] or min(piece) < 0
                    or (piece[0] | piece[1]) % 4096 or sum(piece) > setting.share):
                raise self._error("machine.pieces", piece, f"[offset, bytes], whole pages inside of {setting.share:,}")
        return Setting(harts, memory, given, profile, budget, tuple((offset, size) for offset, size in pieces))

    def _operations(self, found: dict[str, Any], kind: SubjectKind, setting: Setting) -> Operations:
        lines = self._take("program", found, "operations", list)
        rows = [self._operation(number, line) for number, line in enumerate(lines)]
        operations = np.array(rows, dtype=OPERATION)
        try:
            # A Python allocator has more memory than it is given; but none adds memory then.
            require_program(operations, kind, Memory(0, setting.share, 0))
        except LabError as why:
            raise ReplayError(f"{self._name}: program.operations: {why}") from None
        if handles_of(operations) > HANDLES:
            raise ReplayError(f"{self._name}: program.operations: a handle beyond #{HANDLES - 1}, the last that there "
                              "can be")
        return operations

    def _operation(self, number: int, line: object) -> tuple[int, int, int, int, int]:
        for kind, form in _FORMS:
            match = form.fullmatch(line) if type(line) is str else None
            if match is None:
                continue
            values = [int(each.replace(",", ""), 0) if each.startswith("0x") else int(each.replace(",", ""))
                      for each in match.groups()]
            if max(values) >= 1 << 64 or kind not in (Kind.ALLOC, Kind.ADD) and max(values[0], values[-1]) >= 1 << 48:
                break
            if kind is Kind.ALLOC and values[2] < 1 << 32:
                return (kind, values[2], values[0], values[1], 0)
            if kind is Kind.SPLIT and max(values[0], values[2]) < 1 << 32:
                return (kind, values[0], values[2], 0, values[1])
            if kind is Kind.ADD:
                return (kind, 0, values[0], 0, values[1])
            if kind in (Kind.DEALLOC, Kind.CHECK) and values[0] < 1 << 32:
                return (kind, values[0], 0, 0, 0)
        raise self._error(f"program.operations, number {number}", line, "'alloc N bytes (align N) -> #H', "
                          "'dealloc #H', 'check #H', 'split #H at N -> #H' or 'add N bytes at offset N'")

    def _finding(self, found: dict[str, Any], count: int) -> Finding:
        kind = self._choice("finding", found, FindingKind)
        what = self._take("finding", found, "what", str)
        at = self._number("finding", found, "operation", range(count)) if "operation" in found else None
        return Finding(kind, what, at)


_KINDS: Final = {int: "a whole number", str: "a text", bool: "true or false", dict: "a table", list: "a list"}
