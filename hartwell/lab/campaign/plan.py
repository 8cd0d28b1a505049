"""Plans: which trials a campaign makes, as options or a TOML file say.

    allocators = ["buddy", "buddy/missing-merge", "./mine.elf"]
    workloads  = ["random", "lifo"]          # hartwell lab workloads lists them; "all" is all of them
    operations = [2000, 20000]               # how long the programs are
    memory     = ["64M"]                     # of the machine; the allocator gets a quarter of it
    seeds      = 4                           # 0 … 3, or a list
    harts      = [1]
    timing     = "off"                       # or a core's profile, to have cycles in the report
    contents   = true                        # fill blocks and look at them

Only `allocators` must be there. Paths of files are as seen from where the campaign is started.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from itertools import product
from pathlib import Path
from typing import Any, Final, Self

from emulator.errors import EmulatorError, InputFileError
from emulator.loader import read_file
from emulator.loader.sizes import format_size, parse_size
from hartwell.lab.errors import LabError
from hartwell.lab.workload import names, workload

LONGEST: Final = 1 << 20
"""Bytes of a plan's file."""
MOST_CELLS: Final = 1_000_000
ALL: Final = "all"
"""All workloads, in the place of their names."""
MOST_OPERATIONS: Final = 50_000_000


class PlanError(LabError):
    """A plan that makes no campaign; says which entry, and what was expected."""


@dataclass(frozen=True, order=True)
class Cell:
    """One trial: `operations` of `workload`, made with `seed`, on `allocator` in a machine of `harts`.

    The machine has `memory` bytes; `timing` is a core's profile or "off"; `contents`: see Trial.run.
    """

    allocator: str
    workload: str
    operations: int
    memory: int
    harts: int
    seed: int
    timing: str = "off"
    contents: bool = True

    @property
    def name(self) -> str:
        """For people: `buddy random 2,000 64 MiB seed 3`."""
        harts = f" {self.harts} harts" if self.harts > 1 else ""
        return (f"{self.allocator} {self.workload} {self.operations:,} {format_size(self.memory)}{harts} "
                f"seed {self.seed}")

    def to_json(self) -> dict[str, Any]:
        """The cell as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """The cell that `to_json` gave. PlanError if it is none."""
        try:
            return cls(**plain)
        except TypeError as why:
            raise PlanError(f"a cell of a campaign: {why}") from None


@dataclass(frozen=True)
class Plan:
    """All combinations of these. PlanError for one that makes no sense; what is given twice is done once."""

    allocators: tuple[str, ...]
    workloads: tuple[str, ...] = ("random",)
    operations: tuple[int, ...] = (2000,)
    memory: tuple[int, ...] = (64 << 20,)
    seeds: tuple[int, ...] = (0,)
    harts: tuple[int, ...] = (1,)
    timing: str = "off"
    contents: bool = True

    def __post_init__(self) -> None:
        lists: tuple[tuple[str, tuple[Any, ...]], ...] = (
            ("allocators", self.allocators), ("workloads", self.workloads), ("operations", self.operations),
            ("memory", self.memory), ("seeds", self.seeds), ("harts", self.harts))
        count = 1
        for name, values in lists:
            if not values:
                raise PlanError(f"{name}: expected at least one")
            count *= len(set(values))
        if count > MOST_CELLS:
            raise PlanError(f"a campaign of {count:,} cells: expected at most {MOST_CELLS:,}")
        for name, numbers, low, high in (("operations", self.operations, 1, MOST_OPERATIONS),
                                         ("seeds", self.seeds, 0, (1 << 63) - 1), ("harts", self.harts, 1, 8),
                                         ("memory", self.memory, 1 << 20, 1 << 36)):
            for number in numbers:
                if not low <= number <= high:
                    raise PlanError(f"{name}: {number}: expected {low:,} to {high:,}")

    def cells(self) -> list[Cell]:
        """Every cell once, in order."""
        return sorted(set(self._all()))

    def _all(self) -> Iterator[Cell]:
        for which in product(self.allocators, self.workloads, self.operations, self.memory, self.harts, self.seeds):
            yield Cell(*which, self.timing, self.contents)

    @property
    def digest(self) -> str:
        """The same for plans of the same cells, of allocators that are the same in every byte, and for no others."""
        text = json.dumps([*(cell.to_json() for cell in self.cells()), *map(_contents, sorted(set(self.allocators)))],
                          sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The plan in a TOML file. PlanError names the file, the entry and what was expected."""
        try:
            return cls.from_table(tomllib.loads(read_file(path, "plan", LONGEST).decode()))
        except InputFileError as why:
            raise PlanError(str(why).removeprefix("plan ")) from None
        except UnicodeDecodeError as why:
            raise PlanError(f"{path}: byte {why.start} is no UTF-8") from None
        except (ValueError, RecursionError, PlanError) as why:
            raise PlanError(f"{path}: {why}") from None

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Self:
        """The plan that a TOML table describes."""
        known = [field.name for field in fields(cls)]
        for name in table:
            if name not in known:
                raise PlanError(f"{name}: is no entry of a plan; expected one of {', '.join(known)}")
        if "allocators" not in table:
            raise PlanError("allocators: is missing; expected a list of SPECs")
        given = {name: _READERS[name](name, value) for name, value in table.items()}
        return cls(**given)

    def with_all_workloads(self) -> Self:
        """The same, "all" being every workload that there is. WorkloadError for a name that is none."""
        if not self.workloads or ALL not in self.workloads:
            for name in self.workloads:
                workload(name)
            return self
        return replace(self, workloads=tuple(names()))


def _contents(spec: str) -> str:
    """A digest of the file that a SPEC names; "" if it names none that can be read."""
    from hartwell.lab.subject import catalogue

    comes_along = catalogue.find(spec)
    path = Path(spec if spec.endswith(".elf") else spec.rpartition(":")[0] or spec)
    try:
        data = comes_along.read_bytes() if comes_along is not None else read_file(path, "allocator")
    except (OSError, InputFileError):
        return ""
    return hashlib.sha256(data).hexdigest()


def _texts(name: str, value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(each, str) and each for each in values):
        raise PlanError(f"{name}: {value!r}: expected a list of names")
    return tuple(values)


def _numbers(name: str, value: Any) -> tuple[int, ...]:
    values = value if isinstance(value, list) else [value]
    if not all(type(each) is int for each in values):
        raise PlanError(f"{name}: {value!r}: expected a list of numbers")
    return tuple(values)


def _seeds(name: str, value: Any) -> tuple[int, ...]:
    if isinstance(value, list):
        return _numbers(name, value)
    if type(value) is not int or not 1 <= value <= MOST_CELLS:
        raise PlanError(f"{name}: {value!r}: expected how many, or a list of seeds")
    return tuple(range(value))


def _sizes(name: str, value: Any) -> tuple[int, ...]:
    try:
        return tuple(parse_size(text, name) for text in _texts(name, value))
    except EmulatorError as why:
        raise PlanError(str(why)) from None


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise PlanError(f"{name}: {value!r}: expected a name")
    return value


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise PlanError(f"{name}: {value!r}: expected true or false")
    return value


_READERS: Final[dict[str, Callable[[str, Any], Any]]] = {
    "allocators": _texts, "workloads": _texts, "operations": _numbers, "memory": _sizes, "seeds": _seeds,
    "harts": _numbers, "timing": _text, "contents": _flag,
}
