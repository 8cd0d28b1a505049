"""The report of a call that does not come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from hartwell.debug.disassembly import Instruction
from hartwell.lab.finding import Finding
from hartwell.lab.sanitizer.frames import Frame, frame_lines
from hartwell.lab.sanitizer.report import RULE, Past

NAMES: Final = ("zero ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 "
                "t6").split()
SHOWN: Final = 12
"""Nodes of a list that are written out."""


@dataclass(frozen=True)
class Line:
    """An instruction of a loop, the source line that it is of (or its symbol), and what that says ("" if not known)."""

    instruction: Instruction
    source: str
    text: str


@dataclass(frozen=True)
class ChainSeen:
    """The list that the loop walks along: see `chain.Chain`."""

    register: str
    offset: int
    nodes: tuple[int, ...]
    cycle: int
    """How many nodes go in a circle; 0 if it does not."""

    def lines(self) -> list[str]:
        """For people."""
        where = f"by {self.register}, the link {self.offset} bytes into each node"
        if not self.cycle:
            return [f"It walks along a list of {len(self.nodes):,} nodes or more, {where}; there is no circle in it:",
                    *_arrows([*_shortened(self.nodes), "..."])]
        lead, cycle = self.nodes[:-self.cycle], self.nodes[-self.cycle:]
        found = [f"The list that it walks along is a circle of {self.cycle:,} node{'s' * (self.cycle != 1)}, {where}:",
                 *_arrows([*_shortened(cycle), f"{cycle[0]:#x}"])]
        if lead:
            found.append(f"  ({len(lead):,} nodes lead into it)")
        return found

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"register": self.register, "offset": self.offset, "cycle": self.cycle,
                "nodes": [f"{node:#x}" for node in self.nodes[:1000]]}


@dataclass(frozen=True)
class LockSeen:
    """A word that the loop waits for: nobody else runs that could change it."""

    address: int
    symbol: str
    value: int
    taken: Past | None
    """Who has last stored to it, and not given it back."""

    def lines(self) -> list[str]:
        """For people."""
        found = [f"Deadlock: nothing changes from one iteration to the next. It waits for the word at "
                 f"{self.address:#x} {self.symbol},", f"which is {self.value:#x}, and nobody else runs."]
        if self.taken is not None:
            found += ["", self.taken.title, *frame_lines(self.taken.frames)]
        return found

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"address": f"{self.address:#x}", "symbol": self.symbol, "value": self.value,
                "taken": None if self.taken is None else self.taken.to_json()}


@dataclass(frozen=True)
class HangReport:
    """All about one call that does not come back. `finding` is of kind HANG, or DEADLOCK if that is what it is."""

    finding: Finding
    hart: int
    frames: tuple[Frame, ...]
    """Where it was when the budget was used up."""
    function: str
    """The function of the loop."""
    code: tuple[Line, ...]
    """The loop, by address; without functions that it calls."""
    calls: tuple[str, ...]
    """Functions that it calls."""
    length: int
    """Instructions of its last iteration."""
    seen: int
    """Iterations that were watched."""
    chain: ChainSeen | None
    lock: LockSeen | None

    def lines(self) -> list[str]:
        """The report, for people."""
        kind = "DEADLOCK" if self.lock is not None else "HANG"
        found = [RULE, f"{kind}: Hartwell: {self.finding.what}", "", f"hart {self.hart} was here:",
                 *frame_lines(self.frames), ""]
        if not self.code:
            return [*found, "It makes no loop that could be seen: the call may only be long.", RULE]
        found.append(f"It loops in {self.function}, {self.length:,} instructions each time; {self.seen:,} times were "
                     "watched:")
        source = ""
        for line in self.code:
            if line.source != source:
                source = line.source
                found.append(f"  {source}  {line.text}".rstrip())
            found.append(f"    {line.instruction.address:#x}  {line.instruction.text}")
        if self.calls:
            found.append(f"  and in what it calls: {', '.join(self.calls)}")
        found.append("")
        if self.lock is not None:
            found += self.lock.lines()
        elif self.chain is not None:
            found += self.chain.lines()
        else:
            found.append("It walks along no list, and waits for nothing: what it counts or looks for does not end it.")
        return [*found, RULE]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"finding": self.finding.to_json(), "hart": self.hart, "function": self.function,
                "frames": [frame.to_json() for frame in self.frames],
                "loop": [{"address": f"{line.instruction.address:#x}", "text": line.instruction.text,
                          "source": line.source} for line in self.code],
                "calls": list(self.calls), "length": self.length,
                "chain": None if self.chain is None else self.chain.to_json(),
                "lock": None if self.lock is None else self.lock.to_json()}


def _shortened(nodes: tuple[int, ...]) -> list[str]:
    """The nodes, or the first and last of many."""
    if len(nodes) <= SHOWN:
        return [f"{node:#x}" for node in nodes]
    first, last = nodes[:SHOWN // 2], nodes[-SHOWN // 2:]
    left_out = len(nodes) - len(first) - len(last)
    return [*(f"{node:#x}" for node in first), f"({left_out:,} more)", *(f"{node:#x}" for node in last)]


def _arrows(names: list[str]) -> list[str]:
    """`a -> b -> c`, four to a line."""
    rows = [names[at:at + 4] for at in range(0, len(names), 4)]
    return [("  " if number == 0 else "  -> ") + " -> ".join(row) for number, row in enumerate(rows)]
