"""The explanation for a terminal: bands of privilege over time, a table of the phases, and what happened in each.

        hart 0  MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMSSSSSSSSSSSSSMMMMMM
        phase   1                                              3             4
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from emulator.engine.tracing import TRACE_TRAP, TRACE_WAIT
from emulator.mapped import MappedRange
from emulator.timeline import Step, satp_root
from hartwell.views.table import table_lines
from kernel.boot.figures import amount

from .bands import columns
from .names import call_name, satp_text, trap_name
from .story import LEVEL_NAMES, LEVEL_ORDER, Memory, Phase, Story, changed, firmware_calls, share_of, total_traps

WIDTH: Final = 72
"""Characters of a band."""
CHARACTERS: Final = {0: "U", 1: "S", 2: ".", 3: "M"}
MOST_RANGES, MOST_STEPS, MOST_CHANGES, MOST_LINES = 8, 16, 12, 40
"""Rows of lists that are shown; --json and --html have more."""


def lines(story: Story, *, plain: bool) -> list[str]:
    """The whole explanation; with `plain` without a terminal's escape sequences."""
    shown = [f"{story.what}, {story.harts} hart{'s' * (story.harts > 1)}, {amount(story.memory)}", story.cycles_are,
             f"{story.message}", ""]
    shown += [*_bands(story), "", *_phases(story, plain), "", *_narrative(story)]
    parts = {"satp": _satp, "traps": _traps, "calls to the firmware": _calls, "privilege, step by step": _steps,
             "memory at the end": _memory, "console": _console}
    for heading, part in ((heading, show(story, plain)) for heading, show in parts.items()):
        if part:
            shown += ["", heading, "", *part]
    return [line.rstrip() for line in shown]


def _bands(story: Story) -> Iterator[str]:
    """A band for each hart, and where the phases begin."""
    yield (f"{story.cycles:,} cycles, {story.cycles / WIDTH:,.0f} to a column: M, S, U where most of them went, . "
           "waiting; a small letter")
    yield "where the hart was also, but not for long, at that lower privilege"
    for hart, levels in enumerate(columns(story.timeline.buckets, story.cycles, WIDTH)):
        yield f"hart {hart:<3}{''.join(_character(column) for column in levels.T.tolist())}"
    ruler = [" "] * (WIDTH + 4)
    for number, phase in enumerate(story.phases, 1):
        at = phase.start * WIDTH // max(1, story.cycles)
        label = str(number)
        if all(character == " " for character in ruler[max(0, at - 1):at + len(label) + 1]):
            ruler[at:at + len(label)] = label
    yield f"phase   {''.join(ruler)}"


def _character(levels: list[int]) -> str:
    """The letter for a column's cycles by level."""
    if not any(levels):
        return " "
    most = levels.index(max(levels))
    below = next((level for level in (0, 1) if levels[level] and level < most), None)
    return CHARACTERS[most] if below is None else CHARACTERS[below].lower()


def _phases(story: Story, plain: bool) -> list[str]:
    rows = []
    for number, phase in enumerate(story.phases, 1):
        levels, whole = phase.levels, sum(phase.levels.values())
        rows.append((str(number), phase.name, f"{phase.cycles:,}", share_of(phase.cycles, story.cycles),
                     f"{phase.instructions:,}", *(_percent(levels[level], whole) for level in LEVEL_ORDER),
                     f"{phase.traps:,}", f"{phase.calls:,}"))
    total = [sum(phase.levels[level] for phase in story.phases) for level in LEVEL_ORDER]
    rows.append(("", "all", f"{sum(phase.cycles for phase in story.phases):,}", "",
                 f"{sum(phase.instructions for phase in story.phases):,}",
                 *(_percent(part, sum(total)) for part in total), f"{sum(phase.traps for phase in story.phases):,}",
                 f"{sum(phase.calls for phase in story.phases):,}"))
    return table_lines(("", "phase", "cycles", "share", "instructions", *(LEVEL_NAMES[n] for n in LEVEL_ORDER), "traps",
                        "calls"), rows, left=2, plain=plain)


def _percent(part: int, whole: int) -> str:
    """A share as a whole number of per cent, `<1` for one that is not nothing."""
    if not part or not whole:
        return ""
    percent = round(100 * part / whole)
    return f"{percent} %" if percent else "<1 %"


def _narrative(story: Story) -> Iterator[str]:
    """Each phase: what it is, what it did, what it mapped, what memory was taken."""
    before: Phase | None = None
    for number, phase in enumerate(story.phases, 1):
        yield f"{number:2} {phase.name}: {phase.title}"
        for fact in phase.facts:
            yield f"     {fact}"
        yield from _mapped(before.ranges if before is not None else (), phase.ranges)
        for table in phase.tables:
            if not table.active:
                yield f"     built, not used yet: root {satp_root(table.satp):#x}, {table.mapped.tables} tables"
        if phase.memory is not None:
            told = ", ".join(memory_changes(before.memory if before is not None else None, phase.memory))
            if told:
                yield f"     memory: {told}"
        before = phase


def _mapped(before: tuple[MappedRange, ...], after: tuple[MappedRange, ...]) -> Iterator[str]:
    """Ranges that came and went."""
    new, gone = changed(before, after)
    if gone and not set(before) & set(after):
        yield f"     - all {len(gone)} mappings of the table before"
        gone = []
    rows = [("+", part) for part in new] + [("-", part) for part in gone]
    for sign, part in rows[:MOST_RANGES]:
        yield (f"     {sign} {part.start:016x}-{part.end - 1:016x} -> {part.paddr:#x} {part.rights} "
               f"{amount(part.size)}")
    if len(rows) > MOST_RANGES:
        yield f"     … and {len(rows) - MOST_RANGES:,} more"


def memory_changes(before: Memory | None, after: Memory) -> list[str]:
    """What owners have more or less than at the end of the phase before: `+34 MiB frame metadata`."""
    had = {use.owner: use.size for use in before.in_ram} if before is not None else {}
    has = {use.owner: use.size for use in after.in_ram}
    told = []
    for owner in [*has, *(owner for owner in had if owner not in has)]:
        more = has.get(owner, 0) - had.get(owner, 0)
        if more:
            told.append(f"{'+' if more > 0 else '-'}{amount(abs(more))} {owner}")
    if after.free and (before is None or after.free != before.free):
        told.append(f"{amount(after.free)} free")
    return told


def _satp(story: Story, plain: bool) -> list[str]:
    rows = [(f"{change.clock:,}", str(change.hart), story.places.show(change.pc), satp_text(change.new))
            for change in story.timeline.satp[:MOST_CHANGES]]
    if not rows:
        return []
    return [*table_lines(("clock", "hart", "by", "becomes"), rows, left=4, plain=plain),
            *_more(story.timeline.totals.satp_changes - len(rows), "changes")]


def _traps(story: Story, plain: bool) -> list[str]:
    rows = [(trap_name(bool(kind), number), f"{count:,}", str(harts))
            for kind, number, count, harts in total_traps(story.timeline.totals)]
    return table_lines(("trap", "number", "harts"), rows, plain=plain) if rows else []


def _calls(story: Story, plain: bool) -> list[str]:
    rows = [(*call_name(extension, function), f"{count:,}")
            for extension, function, count in firmware_calls(story.timeline.totals)]
    return table_lines(("extension", "function", "number"), rows, left=2, plain=plain) if rows else []


def step_text(step: Step) -> str:
    """Why a hart changed its privilege, or waited."""
    if step.kind == TRACE_WAIT:
        return f"waited {step.clock - step.what:,} cycles"
    if step.kind != TRACE_TRAP:
        return "sret" if step.what == 0x10200073 else "mret"
    number = step.what & (1 << 63) - 1
    if step.what == 9:
        return "ecall: SBI " + ", ".join(call_name(*step.call))
    if step.what == 8:
        return f"ecall: number {step.call[0]}"
    return trap_name(step.what < 0, number)


def _steps(story: Story, plain: bool) -> list[str]:
    steps = [step for step in story.timeline.steps if step.before != step.after or step.kind == TRACE_WAIT]
    rows = [(f"{step.clock:,}", str(step.hart), f"{LEVEL_NAMES[step.before]} -> {LEVEL_NAMES[step.after]}",
             step_text(step), story.places.show(step.target)) for step in steps[:MOST_STEPS]]
    if not rows:
        return []
    return [*table_lines(("clock", "hart", "privilege", "why", "goes on at"), rows, left=5, plain=plain),
            *_more(len(steps) - len(rows), "steps")]


def _memory(story: Story, plain: bool) -> list[str]:
    last = next((phase.memory for phase in reversed(story.phases) if phase.memory is not None), None)
    if last is None:
        return []
    rows = [(use.owner, amount(use.size)) for use in last.uses] + [("free", amount(last.free))] * last.counted
    return table_lines(("used by", "size"), rows, plain=plain)


def _console(story: Story, _plain: bool) -> list[str]:
    kept = story.timeline.lines
    rows = [f"{line.clock:>{len(f'{story.cycles:,}')},}  {printable(line.text)}" for line in kept[:MOST_LINES]]
    return [*rows, *_more(len(kept) - len(rows) + story.timeline.lines_left_out, "lines")]


def printable(text: bytes) -> str:
    """A line of the console without what would move a cursor."""
    decoded = text.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in decoded.rstrip("\r"))


def _more(number: int, what: str) -> list[str]:
    return [f"… and {number:,} more {what}"] if number > 0 else []
