"""The explanation as one HTML page: drawings, then tables with the same numbers. It needs nothing else.

No script is in it, and nothing is loaded from anywhere; colours follow the reader's choice of light or dark.
"""

from __future__ import annotations

from html import escape
from typing import Final

from emulator.engine.tracing import TRACE_WAIT
from emulator.timeline import satp_root
from kernel.boot.figures import amount

from . import html
from .areas import read_areas
from .charts import (
    LEVEL_CLASSES, OWNERS, areas_chart, memory_chart, owners, phases_chart, stretched_chart, timeline_chart,
)
from .names import call_name, satp_text, trap_name
from .story import LEVEL_NAMES, LEVEL_ORDER, Phase, Story, changed, firmware_calls, share_of, total_traps
from .text import memory_changes, printable, step_text

MOST_RANGES, MOST_STEPS, MOST_CHANGES, MOST_LINES = 40, 300, 100, 1_000
"""Rows of long lists; how many more there are is said below them."""
LEVEL_TEXTS: Final = {3: "M: machine mode", 1: "S: supervisor mode", 0: "U: user mode", 2: "waiting for an interrupt"}


def page(story: Story) -> str:
    """The whole page."""
    title = f"How {story.what} boots"
    parts = [_heading(story, title), _timeline(story), _phases(story), _address_space(story), _memory(story),
             _details(story), _satp(story), _traps(story), _steps(story), _console(story), _footer(story)]
    return html.document(title, parts)


def _heading(story: Story, title: str) -> str:
    harts = f"{story.harts} hart{'s' * (story.harts > 1)}"
    return (f"<header><h1>{escape(title)}</h1>\n<p>{escape(story.message)}.<br>\n{harts}, {amount(story.memory)} of "
            f"memory; {story.instructions:,} instructions, {story.cycles:,} cycles "
            f'<span class="note">({escape(story.cycles_are)})</span></p>\n'
            f"<pre>$ {escape(story.command)}</pre></header>")


def _timeline(story: Story) -> str:
    levels = [(LEVEL_CLASSES[level], LEVEL_TEXTS[level]) for level in LEVEL_ORDER
              if any(phase.levels[level] for phase in story.phases)]
    stretched = stretched_chart(story)
    return html.section("Timeline", timeline_chart(story), html.legend(levels),
                        "<h3>Each phase equally wide</h3>" if stretched else "", stretched,
                        note="To scale. In a band, a column is divided as its time was; what was there at all has a "
                             "pixel. Point at a phase or at a mark of satp to read what it is.")


def _phases(story: Story) -> str:
    rows = [(str(number), phase.name, phase.title, f"{phase.cycles:,}", share_of(phase.cycles, story.cycles),
             f"{phase.instructions:,}", *(_share(phase, level) for level in LEVEL_ORDER), f"{phase.traps:,}",
             f"{phase.calls:,}") for number, phase in enumerate(story.phases, 1)]
    total = ("", "all", "", f"{sum(phase.cycles for phase in story.phases):,}", "",
             f"{sum(phase.instructions for phase in story.phases):,}", "", "", "", "",
             f"{sum(phase.traps for phase in story.phases):,}", f"{sum(phase.calls for phase in story.phases):,}")
    heads = ("", "phase", "what it is", "cycles", "share", "instructions", *(LEVEL_NAMES[n] for n in LEVEL_ORDER),
             "traps", "SBI calls")
    return html.section("Phases", phases_chart(story), html.table(heads, rows, left=3, foot=total))


def _share(phase: Phase, level: int) -> str:
    return share_of(phase.levels[level], sum(phase.levels.values())) if phase.levels[level] else ""


def _address_space(story: Story) -> str:
    areas = read_areas(story)
    if not areas:
        return ""
    legend = [("mapped", "mapped"), ("mapped new", "changed in this phase"),
              ("built", "in a table that is not used yet")]
    return html.section("Address space", areas_chart(story, areas), html.legend(legend),
                        note="What the boot hart's page table maps at the end of each phase, by part of the address "
                             "space.")


def _memory(story: Story) -> str:
    shown = [(number, phase.memory) for number, phase in enumerate(story.phases, 1) if phase.memory is not None]
    if not shown:
        return ""
    names = owners(story)
    rows = []
    for name in names:
        sizes = [next((use.size for use in memory.in_ram if use.owner == name), 0) for _, memory in shown]
        rows.append((name, *(amount(size) if size else "" for size in sizes)))
    rows.append(("free", *(amount(memory.free) if memory.free else "" for _, memory in shown)))
    legend = [(f"o{n % OWNERS}", name) for n, name in enumerate(names)]
    return html.section("Memory in use", memory_chart(story), html.legend(legend),
                        html.table(("used by, after phase", *(str(number) for number, _ in shown)), rows),
                        note="By the metadata of frames; before there is metadata, what is known: the kernel's image, "
                             "and what the early allocator has handed out.")


def _details(story: Story) -> str:
    parts, before = [], None
    for number, phase in enumerate(story.phases, 1):
        items = [f"<li>{escape(fact)}</li>" for fact in phase.facts]
        items += [f"<li><code>{escape(text)}</code></li>" for text in _mappings(before, phase)]
        if phase.memory is not None:
            told = memory_changes(before.memory if before is not None else None, phase.memory)
            items += [f"<li>memory: {escape(', '.join(told))}</li>"] if told else []
        calls = [f"{' '.join(call_name(extension, function))} {count:,}"
                 for extension, function, count in firmware_calls(phase.counted)]
        items += [f"<li>calls to the firmware: {escape(', '.join(calls))}</li>"] if calls else []
        text = f"{number} <b>{escape(phase.name)}</b>: {escape(phase.title)}"
        parts.append(f"<details><summary>{text}</summary>\n<ul>{''.join(items)}</ul></details>" if items
                     else f"<p>{text}</p>")
        before = phase
    return html.section("What each phase did", *parts)


def _mappings(before: Phase | None, phase: Phase) -> list[str]:
    new, gone = changed(before.ranges if before is not None else (), phase.ranges)
    rows = [f"{sign} {part.start:016x}-{part.end - 1:016x} → {part.paddr:#x} {part.rights} {amount(part.size)}"
            for sign, parts in (("+", new), ("−", gone)) for part in parts]
    rows = rows[:MOST_RANGES] + ([f"… and {len(rows) - MOST_RANGES:,} more"] if len(rows) > MOST_RANGES else [])
    return rows + [f"built, not used yet: root {satp_root(table.satp):#x}, {table.mapped.tables} tables"
                   for table in phase.tables if not table.active]


def _satp(story: Story) -> str:
    changes = story.timeline.satp[:MOST_CHANGES]
    rows = [(f"{change.clock:,}", str(change.hart), story.places.show(change.pc), satp_text(change.new))
            for change in changes]
    if not rows:
        return ""
    return html.section("satp", html.table(("clock", "hart", "by", "becomes"), rows, numbers=(0, 1)),
                        html.more(story.timeline.totals.satp_changes - len(rows), "changes"))


def _traps(story: Story) -> str:
    traps = [(trap_name(bool(kind), number), f"{count:,}", str(harts))
             for kind, number, count, harts in total_traps(story.timeline.totals)]
    calls = [(*call_name(extension, function), f"{count:,}")
             for extension, function, count in firmware_calls(story.timeline.totals)]
    parts = [html.table(("trap", "number", "harts"), traps)] if traps else []
    if calls:
        parts += ["<h3>Calls to the firmware</h3>", html.table(("extension", "function", "number"), calls, left=2)]
    return html.section("Traps", *parts) if parts else ""


def _steps(story: Story) -> str:
    steps = [step for step in story.timeline.steps if step.before != step.after or step.kind == TRACE_WAIT]
    rows = [(f"{step.clock:,}", str(step.hart), f"{LEVEL_NAMES[step.before]} → {LEVEL_NAMES[step.after]}",
             step_text(step), story.places.show(step.target)) for step in steps[:MOST_STEPS]]
    if not rows:
        return ""
    table = html.table(("clock", "hart", "privilege", "why", "goes on at"), rows, numbers=(0, 1))
    return html.section("Privilege, step by step",
                        f"<details><summary>{len(rows)} changes</summary>{table}"
                        f"{html.more(len(steps) - len(rows), 'steps')}</details>")


def _console(story: Story) -> str:
    kept = story.timeline.lines
    if not kept:
        return ""
    wide = len(f"{story.cycles:,}")
    lines = "\n".join(f"{line.clock:>{wide},}  {printable(line.text)}" for line in kept[:MOST_LINES])
    more = len(kept) - min(len(kept), MOST_LINES) + story.timeline.lines_left_out
    return html.section("Console", f"<pre>{escape(lines)}</pre>", html.more(more, "lines"),
                        note="Each line with the cycle at which its first byte was sent.")


def _footer(story: Story) -> str:
    return (f'<footer class="note"><p>Made by Hartwell {escape(story.version)}. The same command makes the same page, '
            "byte for byte.</p></footer>")
