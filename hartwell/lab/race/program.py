"""Race programs: guest code with hartwell_race_thread and hartwell_race_check (allocators/include/hartwell/race.h)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from emulator import Board, Machine
from emulator.loader import Image
from hartwell.lab.errors import SpecError
from hartwell.lab.finding import Finding, FindingKind
from hartwell.lab.subject import text
from hartwell.lab.subject.setting import Setting
from kernel import Kernel

from .harts import Harts
from .window import Window
from .work import Call, Touch, Undisturbed

INIT, THREAD, CHECK = "hartwell_race_init", "hartwell_race_thread", "hartwell_race_check"
MEMORY: Final = 32 << 20
"""Bytes of RAM of the machine that a race program runs in."""


def is_program(image: Image) -> bool:
    """Whether an ELF is a race program."""
    return image.symbols.find(THREAD) is not None


def open_program(data: bytes, name: str, harts: int) -> Harts:
    """A race program on as many harts, ready to be searched. SpecError."""
    image = text.read_text(data, name, text.ALLOCATOR_TEXT)
    kernel = Kernel.boot(Machine(Board(harts=harts, memory=Setting(memory=MEMORY).memory)))
    try:
        mapped = text.map_text(kernel, image)
        windows = variables(kernel, mapped)
        if not windows:
            raise SpecError(f"{name}: has no variables; expected some that threads share")
        work = ProgramWork(mapped)
        system = Harts(kernel, mapped, windows, work, harts)
        work.string = partial(system.code.string, kernel.service.hart(0))
        return system
    except BaseException:
        kernel.close()
        raise


def variables(kernel: Kernel, mapped: text.Text) -> list[Window]:
    """The variables of guest code, as memory to be watched."""
    hart = kernel.service.hart(0)
    found: list[Window] = []
    for segment in mapped.image.segments:
        if "w" in segment.flags and segment.size:
            physical = hart.translate(segment.virtual, 1)
            assert physical is not None, "a segment that was mapped"
            found.append(Window(segment.virtual, segment.size, physical))
    return found


class ProgramWork:
    """A Work: each thread calls hartwell_race_thread, once."""

    def __init__(self, program: text.Text) -> None:
        self._thread, self._check = program.address(THREAD), program.address(CHECK)
        init = program.symbols.find(INIT)
        self._init = None if init is None else init.address
        self._begun: frozenset[int] = frozenset()
        self.string: Callable[[int], str] = "{:#x}".format
        """What is at an address, as text."""

    def begin(self, call: Undisturbed) -> None:
        """See Work."""
        if self._init is not None:
            call(self._init)

    def following(self, thread: int, returned: int | None) -> Call | Touch | None:
        """See Work."""
        if thread in self._begun:
            return None
        self._begun |= {thread}
        return Call(self._thread, (thread,), f"thread({thread})")

    def save(self) -> object:
        """See Work."""
        return self._begun

    def load(self, saved: object) -> None:
        """See Work."""
        assert isinstance(saved, frozenset)
        self._begun = saved

    def end(self, call: Undisturbed) -> Finding | None:
        """See Work."""
        said = call(self._check)
        if not said:
            return None
        what = self.string(said)
        return Finding(FindingKind.CHECK, f"{CHECK}: {what}", expected="nothing to say", actual=what)

    def results(self) -> object:
        """See Work."""
        return ()
