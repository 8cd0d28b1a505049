"""The report of an access or a call that is wrong: what a kernel engineer reads at a glance.

    BUG: Hartwell: use-after-free store of 8 bytes at 0xffff80008400a010 by hart 0
    ...                                      where, who allocated the block, who freed it, what is around it
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from .frames import Frame, frame_lines

RULE: Final = "=" * 98
ROW: Final = 16
"""Shadow bytes in a line."""
AROUND: Final = 2
"""Lines of shadow bytes before and behind the one that matters."""
LEGEND: Final = {
    "00": "allocated", "01-07": "so many bytes allocated", "+10": "a block begins", "fb": "freed",
    "fa": "freed, a block began", "fc": "behind the end of a block", "ff": "never allocated",
}


@dataclass(frozen=True)
class Past:
    """A call that had to do with the block: `what` it did ("allocated", "freed"), where from, and which one it was.

    `operation` is its number in the program that ran, with `words` for it; None if there was no program.
    """

    what: str
    call: int
    hart: int
    frames: tuple[Frame, ...]
    operation: int | None = None
    words: str = ""

    @property
    def title(self) -> str:
        """`allocated by operation 17, alloc 64 bytes (align 8) -> #3 (call 18, hart 0):`."""
        by = f"operation {self.operation}" + (f", {self.words}" if self.words else "")
        which = f"call {self.call} of the allocator" if self.operation is None else f"{by} (call {self.call})"
        return f"{self.what} by {which}, hart {self.hart}:"

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"what": self.what, "call": self.call, "hart": self.hart, "operation": self.operation,
                "words": self.words, "frames": [frame.to_json() for frame in self.frames]}


@dataclass(frozen=True)
class Block:
    """The block that it is about: `address` as the allocator has it, `state` "allocated" or "freed"; `where` says where
    the access was in or near it."""

    address: int
    size: int
    state: str
    where: str

    @property
    def sentence(self) -> str:
        """Where it happened, for people."""
        return f"{self.where} {self.state} {self.size:,}-byte block [{self.address:#x}, {self.address + self.size:#x})"

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"address": f"{self.address:#x}", "size": self.size, "state": self.state, "where": self.where}


@dataclass(frozen=True)
class ShadowRows:
    """Shadow bytes around an address: the first one is of `start`; `marked` is the index of the one that matters."""

    start: int
    granule: int
    states: tuple[int, ...]
    marked: int

    def lines(self) -> list[str]:
        """Rows of 16, the one that matters with a `>`, and a caret below its byte."""
        found = []
        for at in range(0, len(self.states), ROW):
            here = at <= self.marked < at + ROW
            row = " ".join(f"{state:02x}" for state in self.states[at:at + ROW])
            found.append(f"{'>' if here else ' '}{self.start + at * self.granule:016x}: {row}")
            if here:
                found.append(" " * (19 + 3 * (self.marked - at)) + "^")
        return found

    def legend(self) -> str:
        """What the bytes mean that are there."""
        seen = set(self.states)
        names = [("00", 0 in seen or 0x10 in seen), ("01-07", any(0 < s & ~0x10 < 8 for s in seen)),
                 ("+10", any(0x10 <= s < 0x18 for s in seen)),
                 *((f"{s:02x}", s in seen) for s in (0xFA, 0xFB, 0xFC, 0xFF))]
        return ", ".join(f"{name} {LEGEND[name]}" for name, there in names if there)

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"start": f"{self.start:#x}", "granule": self.granule, "marked": self.marked,
                "states": [f"{state:02x}" for state in self.states]}


@dataclass(frozen=True)
class Report:
    """All about one wrong access or call. `title` is its first line without the `BUG: Hartwell: `."""

    title: str
    action: str
    """What was about to happen: "store of 8 bytes", "free"."""
    hart: int
    frames: tuple[Frame, ...]
    instruction: str
    block: Block | None
    past: tuple[Past, ...]
    shadow: ShadowRows
    during: str = ""
    """The operation that was under way."""
    notes: tuple[str, ...] = field(default=())

    def lines(self) -> list[str]:
        """The report, for people."""
        found = [RULE, f"BUG: Hartwell: {self.title}", ""]
        found.append(f"{self.action} by hart {self.hart}{', during ' + self.during if self.during else ''}:")
        found += frame_lines(self.frames)
        if self.instruction:
            found.append(f"     the instruction, which has not run: {self.instruction}")
        for past in self.past:
            found += ["", past.title, *frame_lines(past.frames)]
        if self.block is not None:
            found += ["", f"The address is {self.block.sentence}."]
        found += [line for note in self.notes for line in ("", note)]
        if self.shadow.states:
            found += ["", f"Memory state around it, a byte for each {self.shadow.granule:,} bytes:"]
            found += [*self.shadow.lines(), "", f"  {self.shadow.legend()}"]
        return [*found, RULE]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"title": self.title, "action": self.action, "hart": self.hart, "instruction": self.instruction,
                "frames": [frame.to_json() for frame in self.frames],
                "block": None if self.block is None else self.block.to_json(),
                "past": [past.to_json() for past in self.past], "shadow": self.shadow.to_json(),
                "during": self.during, "notes": list(self.notes)}
