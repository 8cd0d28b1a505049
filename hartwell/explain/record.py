"""The explanation for programs: one object; addresses are strings, sizes bytes, times cycles."""

from __future__ import annotations

from typing import Any

from emulator.engine.tracing import TRACE_TRAP, TRACE_WAIT
from emulator.mapped import MappedRange
from emulator.timeline import Totals, satp_mode, satp_root

from .bands import columns
from .names import call_name, trap_name
from .story import LEVEL_NAMES, LEVEL_ORDER, Memory, Phase, Story, firmware_calls, total_traps
from .text import printable, step_text

COLUMNS = 256
"""Columns of the bands."""


def as_dict(story: Story) -> dict[str, Any]:
    """All of it; lists that may be long are the beginnings that the timeline keeps."""
    timeline = story.timeline
    return {
        "what": story.what, "command": story.command, "version": story.version, "harts": story.harts,
        "memory": story.memory, "reason": story.reason, "message": story.message, "exit_code": story.exit_code,
        "profile": story.profile or None, "accuracy": story.accuracy or None,
        "cycles": story.cycles, "instructions": story.instructions,
        "phases": [_phase(phase) for phase in story.phases],
        "levels": [{"hart": hart, **_levels(timeline.totals, hart)} for hart in range(story.harts)],
        "bands": _bands(story),
        "steps": [{"clock": step.clock, "instructions": step.instructions, "hart": step.hart,
                   "before": LEVEL_NAMES[step.before], "after": LEVEL_NAMES[step.after],
                   "kind": {TRACE_TRAP: "trap", TRACE_WAIT: "wait"}.get(step.kind, "xret"), "why": step_text(step),
                   "pc": f"{step.pc:#x}", "target": f"{step.target:#x}", "symbol": story.places.name(step.target)}
                  for step in timeline.steps],
        "satp": [{"clock": change.clock, "hart": change.hart, "pc": f"{change.pc:#x}",
                  "symbol": story.places.name(change.pc), "old": f"{change.old:#x}", "new": f"{change.new:#x}",
                  "mode": satp_mode(change.new), "root": f"{satp_root(change.new):#x}"} for change in timeline.satp],
        "satp_changes": timeline.totals.satp_changes,
        "traps": _traps(timeline.totals), "firmware_calls": _calls(timeline.totals),
        "console": [{"clock": line.clock, "instructions": line.instructions, "hart": line.hart,
                     "text": printable(line.text)} for line in timeline.lines],
        "console_lines_left_out": timeline.lines_left_out,
    }


def _phase(phase: Phase) -> dict[str, Any]:
    return {
        "name": phase.name, "title": phase.title, "start": phase.start, "end": phase.end, "cycles": phase.cycles,
        "instructions": phase.instructions,
        "levels": {LEVEL_NAMES[level]: phase.levels[level] for level in LEVEL_ORDER},
        "traps": _traps(phase.counted), "firmware_calls": _calls(phase.counted), "facts": list(phase.facts),
        "page_tables": [{"mode": satp_mode(table.satp), "root": f"{satp_root(table.satp):#x}", "active": table.active,
                         "tables": table.mapped.tables, "complete": table.mapped.complete,
                         "ranges": [_range(part) for part in table.mapped.ranges]} for table in phase.tables],
        "memory": _memory(phase.memory) if phase.memory is not None else None,
    }


def _range(part: MappedRange) -> dict[str, Any]:
    return {"start": f"{part.start:#x}", "end": f"{part.end:#x}", "paddr": f"{part.paddr:#x}", "size": part.size,
            "rights": part.rights}


def _memory(memory: Memory) -> dict[str, Any]:
    return {"counted": memory.counted, "free": memory.free,
            "uses": [{"type": use.type_name, "used_by": use.owner, "size": use.size} for use in memory.uses]}


def _levels(totals: Totals, hart: int) -> dict[str, Any]:
    return {LEVEL_NAMES[level]: {"cycles": int(totals.cycles[hart, level]),
                                 "instructions": int(totals.instructions[hart, level])} for level in LEVEL_ORDER}


def _traps(totals: Totals) -> list[dict[str, Any]]:
    return [{"trap": trap_name(bool(kind), number), "interrupt": bool(kind), "cause": number, "number": count}
            for kind, number, count, _ in total_traps(totals)]


def _calls(totals: Totals) -> list[dict[str, Any]]:
    found = []
    for extension, function, number in firmware_calls(totals):
        name, what = call_name(extension, function)
        found.append({"extension": name, "id": f"{extension:#x}", "function": what, "number": number})
    return found


def _bands(story: Story) -> dict[str, Any]:
    """Cycles of each hart by level in columns of equal length."""
    found = columns(story.timeline.buckets, story.cycles, COLUMNS)
    return {"columns": COLUMNS, "harts": [{LEVEL_NAMES[level]: found[hart, level].tolist() for level in LEVEL_ORDER}
                                          for hart in range(story.harts)]}
