"""The interleaving as people read it: a column for each thread, one access below the other.

         CPU 0                              │ CPU 1
         thread(0)                          │
      1  thread+0x5a           refcount.c:27│
         ld a4, 0(a5)           object = 2  │
     ─────────────────────── CPU 0 is preempted ───────────────────────
      2                                     │ thread+0x14 …

Accesses to what only one thread accesses are left out, but for their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from emulator.disassembler import disassemble

from .search import Race
from .sharing import Sharing
from .system import Access, AccessKind, Place, Shown

MARGIN: Final = 6
NARROWEST: Final = 40


@dataclass(frozen=True)
class Step:
    """One access of an execution, in words."""

    number: int
    thread: int
    doing: str
    place: str
    source: str
    code: str
    kind: AccessKind
    effect: str
    address: int
    size: int
    before: int
    after: int
    preempted: int | None
    """The thread that could have gone on instead,"""
    left: str
    """or why the one before could not; both empty if the same thread goes on."""
    shared: bool

    def to_json(self) -> dict[str, object]:
        """As JSON has it: addresses are text."""
        return {"step": self.number, "thread": self.thread, "doing": self.doing, "place": self.place,
                "source": self.source, "code": self.code, "kind": self.kind.value, "effect": self.effect,
                "address": f"{self.address:#x}", "size": self.size, "before": f"{self.before:#x}",
                "after": f"{self.after:#x}", "preempts": self.preempted, "shared": self.shared}


def steps_of(system: Shown, schedule: Sequence[int]) -> list[Step]:
    """The steps of an execution, which is run once more. The system stands at its end then."""
    sharing = Sharing()
    rows: list[tuple[Access, str, int, int, int | None, str]] = []
    system.start()
    last = -1
    for thread in schedule:
        place, doing = system.next(thread), system.doing(thread)
        preempted, left = None, ""
        if last not in (-1, thread):
            if last in system.ready():
                preempted = last
            else:
                left = f"{system.title(last)} {'waits' if system.doing(last) else 'is done'}"
        before = system.value(place.address, place.size) if place is not None else 0
        access = system.step(thread)
        after = system.value(access.address, access.size)
        if place is None or (place.address, place.size) != (access.address, access.size):
            before = after
        sharing.add(access)
        rows.append((access, doing, before, after, preempted, left))
        last = thread
    return [_step(system, number, *row, sharing) for number, row in enumerate(rows, 1)]


def _step(system: Shown, number: int, access: Access, doing: str, before: int, after: int, preempted: int | None,
          left: str, sharing: Sharing) -> Step:
    bits = system.bits(access)
    code = " ".join(disassemble(access.where, bits).split()) if bits and isinstance(access.where, int) else ""
    name = system.name(access.address)
    effect = f"{name} = {_short(before)}"
    if access.kind is AccessKind.STORE or access.kind is AccessKind.ATOMIC and before != after:
        same = before == after
        effect = f"{name} = {_short(after)} again" if same else f"{name}: {_short(before)} -> {_short(after)}"
    return Step(number, access.thread, doing, system.where(access), system.source(access), code, access.kind, effect,
                access.address, access.size, before, after, preempted, left,
                sharing.matters(Place(access.address, access.size)))


def listing(system: Shown, race: Race, width: int = 120, full: bool = False) -> str:
    """The race as text, `width` columns or wider, and what is wrong at the end."""
    steps = steps_of(system, race.schedule)
    titles = [system.title(thread) for thread in range(system.threads)]
    return format_steps(titles, steps, str(race.finding), width, full)


def format_steps(titles: Sequence[str], steps: Sequence[Step], finding: str, width: int, full: bool) -> str:
    """Steps as text, ending with what is wrong."""
    column = max((width - MARGIN - 3 * (len(titles) - 1)) // len(titles), NARROWEST)
    across = MARGIN + column * len(titles) + 3 * (len(titles) - 1)
    page = _Page(len(titles), column)
    page.row("", dict(enumerate(titles)))
    page.lines.append("─" * across)
    doing = [""] * len(titles)
    hidden = 0
    for at, step in enumerate(steps):
        if step.preempted is not None or step.left:
            hidden = page.skipped(hidden, steps[at - 1].thread)
            said = f"{titles[step.preempted]} is preempted" if step.preempted is not None else step.left
            page.lines.append(f" {said} ".center(across, "═" if step.preempted is not None else "─").rstrip())
        if step.doing != doing[step.thread]:
            hidden = page.skipped(hidden, step.thread)
            doing[step.thread] = step.doing
            page.row("", {step.thread: f"[{step.doing}]"})
        elif not full and not step.shared and step.preempted is None:
            hidden += 1
            continue
        hidden = page.skipped(hidden, step.thread)
        page.row(f"{step.number:>5}", {step.thread: _both(step.place, step.source, column)})
        page.row("", {step.thread: _both(step.code or step.kind.value, step.effect, column)})
    page.skipped(hidden, steps[-1].thread if steps else 0)
    page.lines += ["─" * across, finding]
    return "\n".join(page.lines) + "\n"


class _Page:
    """Lines with a margin and columns."""

    def __init__(self, columns: int, width: int) -> None:
        self.lines: list[str] = []
        self._columns, self._width = columns, width

    def row(self, margin: str, cells: dict[int, str]) -> None:
        """One line; cells that are too long end in …"""
        width = self._width
        texts = (cells.get(column, "") for column in range(self._columns))
        texts = (text if len(text) <= width else text[:width - 1] + "…" for text in texts)
        self.lines.append((f"{margin:{MARGIN}}" + " │ ".join(f"{text:{width}}" for text in texts)).rstrip())

    def skipped(self, count: int, thread: int) -> int:
        """So many accesses of a thread are not shown; 0, the number of those that are to be told of."""
        if count:
            self.row("", {thread: f"… {count} access{'es' if count > 1 else ''} to what no other uses"})
        return 0


def _both(left: str, right: str, width: int) -> str:
    room = width - len(left) - len(right)
    return f"{left}{' ' * room}{right}" if room >= 2 else f"{left}  {right}"


def _short(value: int) -> str:
    if value > (1 << 64) - 1000:
        return f"{value - (1 << 64)}"
    return f"{value}" if value < 1000 else f"{value:#x}"
