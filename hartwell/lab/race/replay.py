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
from typing import Any, Final

from emulator.errors import EmulatorError
from emulator.loader import read_file
from hartwell.lab.errors import LabError
from hartwell.lab.writing import write_text

FORMAT: Final = "hartwell lab race"
VERSION: Final = 1
LARGEST: Final = 64 << 20
"""Bytes of a file, at most."""
HARTS: Final = range(2, 9)
MOST_STEPS: Final = 10_000_000
"""Accesses in a schedule, at most."""


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
        """Write the file. OutputError if that cannot be."""
        write_text(path, self.to_json(), "race")


def turns(schedule: Sequence[int]) -> list[list[int]]:
    """Who makes how many steps in a row."""
    return [[thread, len(list(group))] for thread, group in groupby(schedule)]


def load_replay(path: str) -> Replay:
    """Read a file. ReplayError names the first thing that is wrong with it."""
    try:
        text = read_file(path, "race", LARGEST).decode()
    except EmulatorError as why:
        raise ReplayError(str(why)) from None
    except UnicodeDecodeError:
        raise ReplayError(f"{path}: is no text; expected a file that hartwell lab race --save has written") from None
    try:
        data = json.loads(text)
    except json.JSONDecodeError as why:
        raise ReplayError(f"{path}:{why.lineno}: is no JSON: {why.msg}") from None
    except (ValueError, RecursionError) as why:  # a number of thousands of digits, brackets in thousands of brackets
        raise ReplayError(f"{path}: is no JSON that can be read: {why}") from None
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
    if data["harts"] not in HARTS:
        raise ReplayError(f"{path}: harts: {data['harts']}; expected {HARTS.start} to {HARTS.stop - 1}")
    schedule: list[int] = []
    for turn in data["turns"]:
        if not (isinstance(turn, list) and len(turn) == 2 and all(type(number) is int for number in turn)
                and 0 <= turn[0] < data["harts"] and 0 < turn[1] <= MOST_STEPS - len(schedule)):
            raise ReplayError(f"{path}: turns: {turn!r}; expected [thread, steps], with "
                              f"at most {MOST_STEPS:,} steps in all")
        schedule += [turn[0]] * turn[1]
    return Replay(data["spec"], data["harts"], data["scenario"], data["build"], tuple(schedule), data["finding"],
                  data["digest"])
