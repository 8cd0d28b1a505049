"""The drawings of the page: time to scale, the phases beside each other, the address space, memory.

        timeline_chart   phases, bands of privilege, satp, traps and console over time
        stretched_chart  the same bands with every phase as wide as every other
        phases_chart     a row for each phase: how long it took, and at which privilege
        areas_chart      a column for each phase, a row for each part of the address space
        memory_chart     a stacked bar for each phase: who has the memory
"""

from __future__ import annotations

from typing import Final

from kernel.boot.figures import amount

from .areas import Area
from .bands import columns, events, stretched
from .names import satp_text
from .story import LEVEL_NAMES, LEVEL_ORDER, Memory, Phase, Story, share_of
from .svg import Svg, box, brief, fit, short, text_width, ticks

WIDTH: Final = 1080
GUTTER: Final = 150
"""Pixels for the names of rows."""
COLUMNS: Final = 465
"""Columns of a band: two pixels each."""
BAND: Final = 28
ROW: Final = 22
GAP: Final = 8
"""Heights of a hart's band, of other rows, and of what is between them."""
LEVEL_CLASSES: Final = {0: "u", 1: "s", 2: "w", 3: "m"}
OWNERS: Final = 8
"""Colours of owners of memory, `o0` … ; with more owners they begin again."""


def timeline_chart(story: Story) -> str:
    """Everything that has a time, to scale."""
    plot, end = WIDTH - GUTTER, max(1, story.cycles)
    height = 20 + ROW + GAP + story.harts * (BAND + GAP) + 3 * (ROW + GAP) + 20
    levels = ", ".join(f"{LEVEL_NAMES[level]} {share_of(part, sum(_all_levels(story)))}"
                       for level, part in zip(LEVEL_ORDER, _all_levels(story), strict=True) if part)
    svg = Svg("timeline", WIDTH, height, "Timeline, to scale",
              f"{len(story.phases)} phases over {story.cycles:,} cycles on {story.harts} harts: {levels}. "
              "The tables below have the same numbers.")

    def x(clock: int) -> float:
        return GUTTER + clock * plot / end

    y = 20.0
    svg.text(GUTTER - 10, y + 15, "phase", "label", "end")
    for index, phase in enumerate(story.phases):
        width = x(phase.end) - x(phase.start)
        svg.rect(x(phase.start), y, max(0.5, width), ROW, f"phase p{index % 2}", _phase_title(index, phase))
        label = next((text for text in (f"{index + 1} {phase.name}", str(index + 1))
                      if text_width(text) + 6 <= width), "")
        svg.text(x(phase.start) + width / 2, y + 15, label, "", "middle")
    y += ROW + GAP
    for hart, found in enumerate(columns(story.timeline.buckets, story.cycles, COLUMNS)):
        svg.text(GUTTER - 10, y + 18, f"hart {hart}", "label", "end")
        svg.rect(GUTTER, y, plot, BAND, "empty")
        for level, data in _band(found.T.tolist(), y).items():
            svg.path(data, LEVEL_CLASSES[level])
        y += BAND + GAP
    svg.text(GUTTER - 10, y + 15, "satp", "label", "end")
    for change in story.timeline.satp:
        svg.rect(min(max(GUTTER, x(change.clock) - 1), WIDTH - 2), y + 2, 2, ROW - 4, "mark",
                 f"{change.clock:,}: hart {change.hart}, {satp_text(change.new)}")
    y += ROW + GAP
    svg.text(GUTTER - 10, y + 15, "traps", "label", "end")
    traps = events(story.timeline.buckets, story.cycles, COLUMNS).tolist()
    most = max(1, *traps)
    svg.path("".join(box(GUTTER + 2 * n, y + ROW - (4 + 18 * count / most), 2, 4 + 18 * count / most)
                     for n, count in enumerate(traps) if count), "mark")
    y += ROW + GAP
    svg.text(GUTTER - 10, y + 15, "console", "label", "end")
    lines = sorted({min(COLUMNS - 1, line.clock * COLUMNS // end) for line in story.timeline.lines})
    svg.path("".join(box(GUTTER + 2 * n, y + 5, 1.5, ROW - 10) for n in lines), "mark")
    y += ROW + GAP
    for tick in ticks(end):
        svg.line(x(tick), 20, x(tick), y, "grid")
        label = short(tick)
        middle = min(x(tick), WIDTH - text_width(label) / 2)
        svg.text(middle, y + 14, label, "label", "middle")
    svg.text(GUTTER - 10, y + 14, "cycles", "label", "end")
    return str(svg)


def stretched_chart(story: Story) -> str:
    """The bands again, each phase in a column of the same width; nothing if the steps are not known one by one."""
    if not story.phases:
        return ""
    cell = COLUMNS // len(story.phases)
    svg = Svg("stretched", WIDTH, 20 + 2 * 14 + GAP + story.harts * (BAND + GAP), "Timeline, each phase equally wide",
              "The same bands as above, with a scale for each phase.")
    edges = [GUTTER + 2 * cell * n for n in range(len(story.phases) + 1)]
    svg.text(GUTTER - 10, 14, "phase", "label", "end")
    for index, phase in enumerate(story.phases):
        svg.rect(edges[index], 0, 2 * cell, 36, f"phase p{index % 2}", _phase_title(index, phase))
        svg.text(edges[index] + cell, 14, fit(str(index + 1), 2 * cell), "", "middle")
        svg.text(edges[index] + cell, 29, fit(phase.name, 2 * cell - 4, 10), "tiny", "middle")
    y = 36.0 + GAP
    for hart in range(story.harts):
        svg.text(GUTTER - 10, y + 18, f"hart {hart}", "label", "end")
        for index, phase in enumerate(story.phases):
            count = min(cell, max(1, phase.cycles))
            found = stretched(story.timeline, hart, story.clocks[hart], phase.start, phase.end, count)
            if found is None:
                return ""
            svg.rect(edges[index], y, 2 * cell, BAND, "empty")
            for level, data in _band(found.T.tolist(), y, edges[index], 2 * cell / count).items():
                svg.path(data, LEVEL_CLASSES[level])
        y += BAND + GAP
    for x in edges:
        svg.line(x, 0, x, y - GAP, "grid")
    return str(svg)


def _all_levels(story: Story) -> list[int]:
    return [sum(phase.levels[level] for phase in story.phases) for level in LEVEL_ORDER]


def _phase_title(index: int, phase: Phase) -> str:
    return f"{index + 1} {phase.name}: {phase.title}; {phase.cycles:,} cycles, {phase.instructions:,} instructions"


def _band(found: list[list[int]], y: float, x: float = GUTTER, width: float = 2) -> dict[int, str]:
    """A band's columns as paths by level: each is divided as its time was, with a pixel at least for what there was."""
    paths = dict.fromkeys(LEVEL_ORDER, "")
    heights = [_divide(column) for column in found]
    start = 0
    for n in range(1, len(heights) + 1):
        if n < len(heights) and heights[n] == heights[start]:
            continue
        top = y
        for level, height in zip(LEVEL_ORDER, heights[start], strict=True):
            if height:
                paths[level] += box(x + width * start, top, width * (n - start), height)
                top += height
        start = n
    return paths


def _divide(column: list[int]) -> tuple[int, ...]:
    """The heights of a column's levels, in LEVEL_ORDER; together BAND, or nothing for an empty column."""
    whole = sum(column)
    if not whole:
        return (0,) * len(LEVEL_ORDER)
    heights = [max(1, column[level] * BAND // whole) if column[level] else 0 for level in LEVEL_ORDER]
    heights[heights.index(max(heights))] += BAND - sum(heights)
    return tuple(heights)


def phases_chart(story: Story) -> str:
    """A row for each phase."""
    name, bar, gap = 190, 250, 20
    height = 26 + len(story.phases) * ROW
    svg = Svg("phases", WIDTH, height, "Phases, side by side",
              "; ".join(f"{phase.name} {share_of(phase.cycles, story.cycles)}" for phase in story.phases))
    most = max((phase.cycles for phase in story.phases), default=1)
    levels_at = name + bar + gap + 2 * 110 + gap
    levels_width = WIDTH - levels_at
    for column, text, anchor in ((name, "cycles, drawn", "start"), (name + bar + gap + 110, "cycles", "end"),
                                 (name + bar + gap + 220, "instructions", "end"),
                                 (levels_at, "at which privilege", "start")):
        svg.text(column, 14, text, "label", anchor)
    y = 22.0
    for index, phase in enumerate(story.phases):
        svg.text(0, y + 14, fit(f"{index + 1} {phase.name}", name - 8))
        svg.rect(name, y + 4, max(1.0, phase.cycles * bar / max(1, most)), ROW - 8, "bar", _phase_title(index, phase))
        svg.text(name + bar + gap + 110, y + 14, f"{phase.cycles:,}", "number", "end")
        svg.text(name + bar + gap + 220, y + 14, f"{phase.instructions:,}", "number", "end")
        whole, at = sum(phase.levels.values()), float(levels_at)
        for level in LEVEL_ORDER:
            width = phase.levels[level] * levels_width / max(1, whole)
            if width:
                told = f"{LEVEL_NAMES[level]} {share_of(phase.levels[level], whole)}"
                svg.rect(at, y + 2, max(0.3, width), ROW - 4, LEVEL_CLASSES[level], told)
                svg.text(at + width / 2, y + 15, told if text_width(told) + 8 <= width else "",
                         f"on-{LEVEL_CLASSES[level]}", "middle")
            at += width
        y += ROW
    return str(svg)


def areas_chart(story: Story, areas: tuple[Area, ...]) -> str:
    """What is mapped where at the end of each phase."""
    left, cell, row = 190, (WIDTH - 190) / max(1, len(story.phases)), 30
    height = 24 + len(areas) * row
    svg = Svg("areas", WIDTH, height, "Address space, phase by phase",
              "; ".join(f"{area.name}: {amount(max(area.mapped))} at most" for area in areas))
    svg.text(0, 14, "highest addresses first", "label")
    for index in range(len(story.phases)):
        svg.text(left + cell * (index + 0.5), 14, str(index + 1), "label", "middle")
    for number, area in enumerate(areas):
        y = 22 + number * row
        svg.text(0, y + 12, fit(area.name, left - 10))
        unnamed = area.name == f"{area.start:#x}"
        svg.text(0, y + 24, f"to {area.end - 1:#x}" if unnamed else f"{area.start:#x}", "small")
        for index, phase in enumerate(story.phases):
            size, built = area.mapped[index], area.built[index]
            kind = "free"
            if size:
                kind = "mapped new" if area.changed[index] else "mapped"
            elif built:
                kind = "built"
            told = (f"{phase.name}: {area.name}: {amount(size)} mapped" + (f", {amount(built)} in a table that is not "
                                                                         "used yet" if built else ""))
            svg.rect(left + cell * index + 1, y, cell - 2, row - 4, kind, told)
            if size and built:
                svg.rect(left + cell * index + 3, y + row - 11, cell - 6, 5, "built", told)
            svg.text(left + cell * (index + 0.5), y + 16, fit(brief(size or built), cell - 6) if size or built else "",
                     "", "middle")
    return str(svg)


def owners(story: Story) -> list[str]:
    """Everyone who ever has memory, in order of appearance."""
    found: dict[str, None] = {}
    for phase in story.phases:
        for use in phase.memory.in_ram if phase.memory is not None else ():
            found[use.owner] = None
    return list(found)


def memory_chart(story: Story) -> str:
    """Who has memory at the end of each phase."""
    shown = [(index, phase, phase.memory) for index, phase in enumerate(story.phases) if phase.memory is not None]
    left, plot, top = 70, 200, 24
    names = owners(story)
    most = max((_used(memory) for _, _, memory in shown), default=1)
    svg = Svg("memory", WIDTH, top + plot + 22, "Memory in use, phase by phase",
              "; ".join(f"{phase.name}: {amount(_used(memory))}" for _, phase, memory in shown))
    step = 1 << max(0, most.bit_length() - 3)
    for size in range(0, most + 1, step):
        y = top + plot - size * plot / most
        svg.line(left, y, WIDTH, y, "grid")
        svg.text(left - 8, y + 4, amount(size) if size else "0", "label", "end")
    cell = (WIDTH - left) / max(1, len(shown))
    for number, (index, phase, memory) in enumerate(shown):
        x, y = left + cell * (number + 0.5), float(top + plot)
        width = min(56.0, cell - 8)
        for use in memory.in_ram:
            height = max(1.0, use.size * plot / most)
            y -= height
            svg.rect(x - width / 2, y, width, height, f"o{names.index(use.owner) % OWNERS}",
                     f"{phase.name}: {use.owner} {amount(use.size)}")
        told = amount(_used(memory))
        svg.text(x, y - 5, fit(told, cell - 4), "", "middle")
        svg.text(x, top + plot + 16, fit(str(index + 1), cell - 4), "label", "middle")
    svg.text(left - 8, top + plot + 16, "phase", "label", "end")
    return str(svg)


def _used(memory: Memory) -> int:
    return sum(use.size for use in memory.in_ram)
