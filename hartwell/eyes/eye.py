"""What an eye is, what it looks at, and the one error that it raises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from emulator.errors import EmulatorError
from kernel.attaching import find_memory, phase_in
from kernel.boot.boot_record import Phase
from kernel.errors import BootError, KernelError
from kernel.mm.paging import MODES, PagingMode

if TYPE_CHECKING:
    from emulator.machine import Machine
    from kernel.boot.booting import Choices
    from kernel.mm.context import Mm
    from kernel.picture import Picture
    from kernel.track import Point, Tracker

STAGES = {Phase.METADATA: "frame-metadata", Phase.FRAMES: "frame-allocator", Phase.HEAP: "heap",
          Phase.PAGE_TABLE: "kernel-page-table", Phase.READY: "ready"}
"""The boot stage with whose end each phase begins."""
SV57 = PagingMode("sv57", 10, 5, 57)
"""Not one of our kernel's modes, but of other guests."""


class EyeError(Exception):
    """An eye sees nothing: the text is one line that says why, or what was expected."""


@dataclass
class EyeContext:
    """What eyes look at: a machine that stands still, from the view of one of its harts.

    `resolve` gives the address that a word means (a symbol, an expression), None if it means none; numbers need
    no help. `choices` are the kernel's, if it was booted with allocators of somebody else's.

    `tracker` has records of what was done, and `moment` is the one that is looked at, if not the present.
    `picture_at` gives the Picture of the moment when all harts together had retired so many instructions, where
    there is a history; `marks` are Pictures that the diff eye has put aside, by name.
    """

    machine: Machine
    hart: int = 0
    resolve: Callable[[str], int | None] | None = None
    choices: Choices | None = None
    tracker: Tracker | None = None
    moment: Point | int | None = None
    picture_at: Callable[[int], Picture] | None = None
    marks: dict[str, Picture] = field(default_factory=dict)

    @property
    def satp(self) -> int:
        """The satp of the hart."""
        return self.machine.harts[self.hart].read_csr("satp")

    def paging(self) -> PagingMode | None:
        """The paging mode in the hart's satp; None if that is bare."""
        mode = self.satp >> 60
        return next((known for known in (*MODES.values(), SV57) if known.satp_mode == mode), None)

    def memory(self, need: Phase = Phase.METADATA) -> Mm:
        """The memory manager of Hartwell's kernel, from emulated memory as it is now.

        EyeError if the guest is another one, or the boot has not come to `need`.
        """
        try:
            phase = phase_in(self.machine.bus)
        except BootError as why:
            raise EyeError(f"the guest is not Hartwell's kernel ({why})") from None
        if phase is None:
            raise EyeError("Hartwell's kernel is loaded, and has not begun to boot: there is nothing of it to see yet")
        if phase < need:
            after = f", but to that of {STAGES[phase]}" if phase else ""
            raise EyeError(f"the boot has not come to the end of the stage {STAGES[need]} yet{after}")
        try:
            return find_memory(self.machine.bus, self.choices)
        except BootError as why:
            raise EyeError(str(why)) from None

    def memory_or_none(self, need: Phase = Phase.METADATA) -> Mm | None:
        """The same; None instead of an EyeError."""
        try:
            return self.memory(need)
        except EyeError:
            return None

    def number(self, text: str, what: str) -> int:
        """An address or number as typed: 0x80200000, 0x8020_0000, 2149580800, or a word that `resolve` knows."""
        try:
            value: int | None = int(text.replace("_", ""), 0)
        except ValueError:
            value = None if self.resolve is None else self.resolve(text)
        if value is None or not 0 <= value < 1 << 64:
            also = "" if self.resolve is None else " or a symbol"
            raise EyeError(f"{text!r} is no {what}: expected a number such as 0x80200000{also}")
        return value


@dataclass(frozen=True)
class Eye:
    """A question about the memory of a machine: its `name`, its `usage`, a line and then a paragraph of help.

    `least` and `most` are how many arguments it takes; `look` gives the lines of the answer.
    """

    name: str
    usage: str
    help: str
    more: str
    look: Callable[[EyeContext, Sequence[str]], Sequence[str]]
    least: int = 0
    most: int = 0

    def run(self, context: EyeContext, args: Sequence[str], out: Callable[[str], None]) -> None:
        """Look, and give each line of the answer to `out`: all of them, or, with EyeError, none.

        Memory and machine are not changed by it.
        """
        if not self.least <= len(args) <= self.most:
            raise EyeError(f"{self.name}: {len(args)} arguments; expected: {self.usage}")
        try:
            lines = self.look(context, args)
        except (KernelError, EmulatorError, EyeError) as why:
            raise EyeError(f"{self.name}: {why}") from why
        for line in lines:
            out(line)
