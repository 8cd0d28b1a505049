"""What a timed run's cycles went to: a line for each hart, a bar for each cause, and how often what happened.

        profile  rocket (±1.2 %)

        hart  instructions   cycles  waiting   CPI  traps
        0           52,123   71,840        0  1.38    112

        hart 0                               share  cycles
        issuing     ██████████████████████  72.6 %  52,123
        L1D misses  ████                    14.7 %  10,560

        event       number  per 1000 instructions  share
        L1D misses     240                   4.60  1.9 % of 12,540 accesses

Cycles of a hart are those in which instructions were issued, those in which none was (stalls, by cause),
and those in which it waited; with Hartwell's own kernel also those of the instructions that its accesses to
memory stand for. The bars are their shares of all, the longest first.
"""

from __future__ import annotations

from typing import Any, Final

from emulator.timing.events import Event, Stall
from emulator.timing.stats import HartStats, Stats

from .table import table_lines

WIDTH = 30
"""Characters of a bar for all cycles."""
EIGHTHS: Final = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")
"""The last character of a bar."""

STALL_NAMES: Final = {
    Stall.BRANCH: "mispredicted branches", Stall.FETCH: "fetch", Stall.L1I: "L1I misses", Stall.L1D: "L1D misses",
    Stall.TLB: "TLB misses", Stall.LOAD_USE: "load-use", Stall.MUL_DIV: "mul/div", Stall.FP: "FP",
    Stall.STORE: "load after store", Stall.ATOMIC: "atomics", Stall.FENCE: "fences", Stall.CSR: "CSRs",
    Stall.TRAP: "traps", Stall.MMIO: "device registers",
}
"""What bars are called."""

MISSES: Final = (
    (Event.BRANCH_MISPREDICTS, "branch mispredicts", Event.BRANCHES, "branches"),
    (Event.TARGET_MISPREDICTS, "target mispredicts", Event.JUMPS, "jumps"),
    (Event.FETCH_REDIRECTS, "fetch redirects", Event.NONE, ""),
    (Event.L1I_MISSES, "L1I misses", Event.L1I_ACCESSES, "lines fetched"),
    (Event.L1D_MISSES, "L1D misses", Event.L1D_ACCESSES, "accesses"),
    (Event.L1D_WRITEBACKS, "L1D write-backs", Event.L1D_MISSES, "misses"),
    (Event.ITLB_MISSES, "ITLB misses", Event.NONE, ""),
    (Event.DTLB_MISSES, "DTLB misses", Event.NONE, ""),
    (Event.REPLAYS, "replays", Event.NONE, ""),
    (Event.MMIO_ACCESSES, "device accesses", Event.NONE, ""),
    (Event.TRAPS, "traps", Event.NONE, ""),
)
"""Events that are told, and for some the event that they are a share of, with its name."""


def summary(stats: Stats) -> str:
    """The run in one line: cycles, CPI, and what they were counted with."""
    return f"{stats.cycles:,} cycles, CPI {stats.cpi:.2f} ({stats.profile}: {stats.accuracy})"


def lines(stats: Stats, *, plain: bool, ascii_only: bool) -> list[str]:
    """The whole view; with `plain` without a terminal's escape sequences, with `ascii_only` in ASCII bars."""
    shown = [f"profile  {stats.profile} ({stats.accuracy})", ""]
    shown += table_lines(("hart", "instructions", "cycles", "waiting", "CPI", "traps"), [
        (str(hart.hart), f"{hart.instructions:,}", f"{hart.cycles:,}", f"{hart.waiting:,}", f"{hart.cpi:.2f}",
         f"{hart.events.get(Event.TRAPS, 0):,}") for hart in stats.harts], plain=plain)
    for hart in stats.harts:
        if not hart.cycles:
            continue
        shown += ["", *_bars(hart, plain, ascii_only)]
        misses = _misses(hart)
        if misses:
            shown += ["", *table_lines(("event", "number", "per 1000 instructions", "share"), misses, plain=plain)]
    return shown


def where_cycles_went(hart: HartStats) -> list[tuple[str, int]]:
    """A hart's cycles by what they went to, the most first; their sum is its cycles."""
    issuing = hart.cycles - hart.waiting - hart.host - sum(hart.stalls.values())
    stalls = [(STALL_NAMES[stall], hart.stalls[stall]) for stall in Stall if stall in hart.stalls]
    parts = [("issuing", issuing), ("kernel's accesses", hart.host), *stalls, ("waiting", hart.waiting)]
    return sorted(((name, cycles) for name, cycles in parts if cycles), key=lambda part: -part[1])


def as_dict(stats: Stats) -> dict[str, Any]:
    """The view for programs: events and stalls by the names of `Event` and `Stall`, in small letters."""
    return {
        "profile": stats.profile, "accuracy": stats.accuracy, "cycles": stats.cycles,
        "instructions": stats.instructions, "cpi": round(stats.cpi, 4),
        "harts": [{
            "hart": hart.hart, "cycles": hart.cycles, "waiting": hart.waiting, "instructions": hart.instructions,
            "cpi": round(hart.cpi, 4), "host": hart.host,
            "events": {event.name.lower(): hart.events[event] for event in Event if event in hart.events},
            "stalls": {stall.name.lower(): hart.stalls[stall] for stall in Stall if stall in hart.stalls},
        } for hart in stats.harts],
    }


def _bars(hart: HartStats, plain: bool, ascii_only: bool) -> list[str]:
    rows = [(name, _bar(cycles, hart.cycles, ascii_only), _percent(cycles, hart.cycles), f"{cycles:,}")
            for name, cycles in where_cycles_went(hart)]
    return table_lines((f"hart {hart.hart}", "", "share", "cycles"), rows, left=2, plain=plain)


def _bar(part: int, whole: int, ascii_only: bool) -> str:
    if ascii_only:
        return "#" * round(part * WIDTH / whole)
    full, eighths = divmod(round(8 * part * WIDTH / whole), 8)
    return "█" * full + EIGHTHS[eighths]


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"


def _misses(hart: HartStats) -> list[tuple[str, str, str, str]]:
    rows = []
    for event, name, whole, noun in MISSES:
        number = hart.events.get(event, 0)
        if not number:
            continue
        rate = f"{1000 * number / hart.instructions:.2f}" if hart.instructions else "-"
        total = hart.events.get(whole, 0)
        share = f"{_percent(number, total)} of {total:,} {noun}" if total else ""
        rows.append((name, f"{number:,}", rate, share))
    return rows
