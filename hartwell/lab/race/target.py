"""What a SPEC means to a search for races.

        allocator, guest code      scenarios on harts
        race program               the program on harts, one scenario without a name
        allocator, Python class    scenarios on tasks of the Python kernel
        kernel:NAME                tasks that race for the Python kernel's own structures
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self

from emulator.errors import EmulatorError
from emulator.loader import read_file
from hartwell.lab.errors import SpecError
from hartwell.lab.oracle.conservation import Conservation
from hartwell.lab.subject import catalogue, text
from hartwell.lab.subject.guest import RECLAIM, GuestSubject
from hartwell.lab.subject.setting import Setting
from hartwell.lab.subject.subject import SubjectKind

from .allocating import Allocating, Functions
from .harts import Harts
from .window import Window
from .program import is_program, open_program, variables
from .scenario import Scenario, parse_scenario, stock

if TYPE_CHECKING:
    from .system import Shown

MEMORY: Final = 32 << 20
"""Bytes of RAM of the machine that an allocator is searched in,"""
GIVEN: Final = 64 << 10
"""and what the allocator is given of it: little, so that threads meet."""
MOST_HARTS: Final = 8


class Target(Protocol):
    """What is searched: open a system for one of its scenarios at a time; close it, too."""

    name: str
    build: str
    """A hash of the code."""

    def scenarios(self, seed: int) -> Sequence[str]:
        """Those that come along: [""] if it has none by name."""

    def open(self, scenario: str) -> Shown:
        """The system for a scenario; those opened before are gone. ProgramError."""

    def close(self) -> None:
        """Let go of the machine."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None: ...


class Closing:
    """Targets are closed behind a `with` block."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the machine."""


def open_target(spec: str, harts: int) -> Target:
    """The target that `spec` names, on 2 to 8 harts. SpecError says what is wrong with it. SubjectFailed."""
    if not 2 <= harts <= MOST_HARTS:
        raise SpecError(f"{harts} harts: expected 2 to {MOST_HARTS}: races are between them")
    found = catalogue.find(spec)
    if found is not None:
        return _guest(found.read_bytes(), spec, harts)
    if spec.endswith(".elf") and Path(spec).exists():
        try:
            data = read_file(spec, "program")
        except EmulatorError as why:
            raise SpecError(str(why)) from None
        return _guest(data, spec, harts)
    from .python import open_python

    return open_python(spec, harts)


def _guest(data: bytes, spec: str, harts: int) -> Target:
    if is_program(text.read_text(data, spec, text.ALLOCATOR_TEXT)):
        return ProgramTarget(data, spec, harts)
    return GuestTarget(data, spec, harts)


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


class ProgramTarget(Closing):
    """A race program."""

    def __init__(self, data: bytes, spec: str, harts: int) -> None:
        self.name, self.build = spec, _hash(data)
        self._system = open_program(data, spec, harts)

    def scenarios(self, seed: int) -> Sequence[str]:
        """See Target."""
        return [""]

    def open(self, scenario: str) -> Shown:
        """See Target."""
        if scenario:
            raise SpecError(f"{self.name}: is a race program, which has no scenarios")
        return self._system

    def close(self) -> None:
        """See Target."""
        self._system.close()
        self._system.kernel.close()


class GuestTarget(Closing):
    """An allocator that is guest code."""

    def __init__(self, data: bytes, spec: str, harts: int) -> None:
        self.name, self.build, self._harts = spec, _hash(data), harts
        self._subject = subject = GuestSubject(data, spec, Setting(harts=harts, memory=MEMORY, given=GIVEN), spec)
        self._measure = Conservation.measure(subject)
        self._system: Harts | None = None

    @property
    def kind(self) -> SubjectKind:
        """What it allocates."""
        return self._subject.kind

    def scenarios(self, seed: int) -> Sequence[str]:
        """See Target."""
        return [str(scenario) for scenario in stock(self.kind, self._harts, seed)]

    def open(self, scenario: str) -> Shown:
        """See Target."""
        parsed = parse_scenario(scenario, self.kind)
        subject = self._subject
        if self._system is not None:
            self._system.close()
        subject.reset()
        alloc, dealloc = (subject.text.address(f"hartwell_{self.kind.value}_{name}") for name in ("alloc", "dealloc"))
        mm = subject.kernel.mm
        linear = mm.paging.linear_base if self.kind is SubjectKind.FRAME else 0
        memory, reclaim = subject.memory, subject.text.symbols.find(RECLAIM)
        functions = Functions(alloc, dealloc, linear, None if reclaim is None else reclaim.address)
        windows = [*variables(subject.kernel, subject.text),
                   Window(mm.paddr_to_vaddr(memory.paddr), memory.size, memory.paddr)]
        work = Allocating(parsed, self.kind, memory, functions, self._measure)
        self._system = Harts(subject.kernel, subject.text, windows, work, self._threads(parsed))
        work.value, work.store = self._system.windows.value, self._system.windows.store
        return self._system

    def _threads(self, scenario: Scenario) -> int:
        if len(scenario.threads) != self._harts:
            raise SpecError(f"scenario: is for {len(scenario.threads)} CPUs, expected {self._harts} (--harts)")
        return self._harts

    def close(self) -> None:
        """See Target."""
        with closing(self._subject):
            if self._system is not None:
                self._system.close()
