"""Stops that only a debugger has: those of the software on the host."""

from __future__ import annotations

from dataclasses import dataclass

from ..stop import Mark, Stop, Watch


@dataclass(frozen=True)
class HostWrote(Stop):
    """Software on the host has changed bytes that are watched; `mark` is the last place it told of, if any."""

    watch: Watch
    mark: Mark | None

    def __str__(self) -> str:
        where = f" in {self.mark.name}" if self.mark is not None else ""
        return f"software on the host{where} wrote to {self.watch.first:#x}"


@dataclass(frozen=True)
class ProgramEnded(Stop):
    """The program on the host that drove the machine is over; `error` is what it raised, `result` what it returned."""

    result: object
    error: BaseException | None

    @property
    def ok(self) -> bool:
        return self.error is None

    def __str__(self) -> str:
        if self.error is None:
            return "the program is over"
        return f"the program ended with an error: {str(self.error) or type(self.error).__name__}"
