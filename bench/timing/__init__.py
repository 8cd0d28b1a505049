"""The timing model beside a real core: programs whose cycles were measured on a core's RTL, run here under a profile.

        src/ common/ Makefile elf/     the programs; each times a region of its own, and prints
                                       `name cycles=N instret=M` on the console
        micro.csv                      cycles and instructions of that region on the reference core

`python -m bench.timing` compares; docs/accuracy.md says what was measured, and how.
"""

from __future__ import annotations

from ..measure import Figure


def figures() -> list[Figure]:
    """The mean error, and the worst program of each group; `python -m bench.timing` shows every program."""
    from .compare import compare
    from .core import MODELLED, REFERENCE, profile
    from .programs import Group, Split, programs
    from .report import BOUNDS, MEAN_BOUND, summaries

    if not MODELLED:
        return [Figure("modelled cycles, mean error", None, "%", MEAN_BOUND, note="there is no timing model yet")]
    found = {(summary.group, summary.split): summary for summary in summaries(compare(programs(), profile(REFERENCE)))}
    sets = ", ".join(f"{split.value} {float(found[None, split].mean):.1f} %" for split in Split)
    rows = [Figure("modelled cycles, mean error", float(found[None, None].mean), "%", MEAN_BOUND, note=sets)]
    for group in Group:
        worst = found[group, None].worst
        rows.append(Figure(f"modelled cycles, worst of the {group.value}", float(abs(worst.error)), "%", BOUNDS[group],
                           note=worst.program.name))
    return rows
