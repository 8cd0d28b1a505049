"""Replay files: what makes a race happen again, exactly. JSON.

    {"format": "hartwell lab race", "version": 1, "spec": "race-refcount/lost-update", "harts": 2, "scenario": "",
     "build": "…", "turns": [[0, 2], [1, 5], [0, 3]], "finding": "…", "digest": "…"}

`turns` says who makes how many accesses before another goes on; `build` is a hash of the code that was searched,
`digest` one of memory and results at the end.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from hartwell.lab.errors import LabError

FORMAT: Final = "hartwell lab race"
VERSION: Final = 1


class ReplayError(LabError):
    """A file that is no replay file, or one of something else; says what was expected."""


@dataclass(frozen=True)
class Replay:
    """A race of the system that `spec`, `harts` and `scenario` make."""

    spec: str
    harts: int
    scenario: str
    build: str
    schedule: tuple[int, ...]
    finding: str
    digest: str

    def to_json(self) -> str:
        """The file's text."""
        return json.dumps({"format": FORMAT, "version": VERSION, "spec": self.spec, "harts": self.harts,
                           "scenario": self.scenario, "build": self.build, "turns": turns(self.schedule),
                           "finding": self.finding, "digest": self.digest}) + "\n"

    def save(self, path: str) -> None:
        """Write the file. ReplayError if that cannot be."""
        try:
            Path(path).write_text(self.to_json(), "utf-8")
        except OSError as why:
            raise ReplayError(f"{path}: cannot be written: {why.strerror}") from None


def turns(schedule: Sequence[int]) -> list[list[int]]:
    """Who makes how many steps in a row."""
    return [[thread, len(list(group))] for thread, group in groupby(schedule)]


def load_replay(path: str) -> Replay:
    """Read a file. ReplayError names the first thing that is wrong with it."""
    try:
        text = Path(path).read_text("utf-8")
    except OSError as why:
        raise ReplayError(f"{path}: cannot be read: {why.strerror}") from None
    except UnicodeDecodeError:
        raise ReplayError(f"{path}: is no text; expected a file that hartwell lab race --save has written") from None
    try:
        data = json.loads(text)
    except json.JSONDecodeError as why:
        raise ReplayError(f"{path}:{why.lineno}: is no JSON: {why.msg}") from None
    return _parse(data, path)


def _parse(data: Any, path: str) -> Replay:
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ReplayError(f'{path}: expected an object with "format": "{FORMAT}"')
    if data.get("version") != VERSION:
        raise ReplayError(f"{path}: version {data.get('version')!r}; expected {VERSION}")
    for name, kind in (("spec", str), ("harts", int), ("scenario", str), ("build", str), ("turns", list),
                       ("finding", str), ("digest", str)):
        if type(data.get(name)) is not kind:
            raise ReplayError(f"{path}: {name}: {data.get(name)!r}; expected {kind.__name__}")
    schedule: list[int] = []
    for turn in data["turns"]:
        if not (isinstance(turn, list) and len(turn) == 2 and all(type(number) is int for number in turn)
                and 0 <= turn[0] < data["harts"] and 0 < turn[1] <= 1_000_000):
            raise ReplayError(f"{path}: turns: {turn!r}; expected [thread, steps]")
        schedule += [turn[0]] * turn[1]
    return Replay(data["spec"], data["harts"], data["scenario"], data["build"], tuple(schedule), data["finding"],
                  data["digest"])
