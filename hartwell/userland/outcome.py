"""How a program ended, and what it took."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hartwell.cli.status import DEADLOCK, INTERRUPTED, WATCHDOG
from kernel.process.signals import Signal

from .taken import Taken

CODES = {"watchdog": WATCHDOG, "deadlock": DEADLOCK, "interrupted": INTERRUPTED, "quit": 0}
"""Exit codes of runs that the program itself did not end, by their reasons."""


@dataclass(frozen=True)
class Outcome:
    """How a program ended, and what it took: from its start to its end, the boot not included.

    `reason` is "exited", "killed", or one of CODES; `status` is then as wait4 gives it, else None.
    """

    reason: str
    message: str
    status: int | None
    storage: str
    instructions: int
    cycles: int
    profile: str
    """The timing profile's name, "off" without one: then a cycle is an instruction."""
    accuracy: str
    """Its error, as one says it beside a figure."""
    processes: int
    faults: int
    free_before: int
    free_after: int
    """Frames that were free before the first program, and after the last; slabs to spare are given back."""
    missing: dict[str, int] = field(default_factory=dict)
    """System calls that got ENOSYS, and how often."""
    taken: Taken | None = None
    """What it took of the kernel, if that was counted."""

    @property
    def signal(self) -> int:
        """The signal that ended it, 0 if none did."""
        return (self.status or 0) & 0x7F

    @property
    def exit_code(self) -> int:
        """As a shell has it: the program's code, or 128 + the signal's number; the run's end otherwise (CODES)."""
        if self.status is None:
            return CODES[self.reason]
        return 128 + self.signal if self.signal else self.status >> 8

    def as_dict(self) -> dict[str, Any]:
        """For programs: the same for every run of the same command."""
        return {
            "reason": self.reason, "message": self.message, "exit_code": self.exit_code, "status": self.status,
            "signal": signal_name(self.signal) if self.signal else None, "ramfs": self.storage,
            "instructions": self.instructions, "cycles": self.cycles, "profile": self.profile,
            "accuracy": self.accuracy, "processes": self.processes, "page_faults": self.faults,
            "free_frames_before": self.free_before, "free_frames_after": self.free_after, "missing": self.missing,
            "taken": self.taken.as_dict() if self.taken is not None else None,
        }

    def lines(self) -> list[str]:
        """For people."""
        shown = [f"{self.instructions:,} instructions, {self.cycles:,} cycles"
                 + (f" ({self.profile}: {self.accuracy})" if self.profile != "off" else
                    " (one per instruction: --timing counts a core's)"),
                 f"{self.processes} process{'es' * (self.processes != 1)}, {self.faults:,} page faults"]
        if self.taken is not None:
            count, bytes_ = self.taken.operations, self.taken
            shown += [
                f"{count['frame_allocations']:,} frame and {count['heap_allocations']:,} heap allocations, "
                f"{count['pages_mapped']:,} pages mapped, {count['protections']:,} protected",
                f"{bytes_.copied:,} bytes copied, {bytes_.filled:,} filled; {bytes_.peak:,} bytes of memory at most"]
        if self.status is not None:
            lost = self.free_before - self.free_after
            shown.append(f"{self.free_after:,} frames free" + (
                ", as before" if not lost else f", {abs(lost)} {'fewer' if lost > 0 else 'more'} than before"))
        return shown


def signal_name(number: int) -> str:
    """SIGKILL, or "signal 40" for one without a name."""
    return f"SIG{Signal(number).name}" if number in Signal._value2member_map_ else f"signal {number}"
