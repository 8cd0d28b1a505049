"""`hartwell kernel cost`: what the memory manager's operations cost."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .kernels import AsJson, opened
from .options import Harts, Memory, Mmu, Timing, load_timing
from .stats import DEFAULT_PROFILE

if TYPE_CHECKING:
    from kernel.cost.cost import Cost
    from kernel.cost.operations import Measured


def cost(
    memory: Memory = None,
    smp: Harts = None,
    mmu: Mmu = None,
    timing: Timing = DEFAULT_PROFILE,
    as_json: AsJson = False,
) -> None:
    """Show what an allocation, a mapping and other operations cost: accesses, misses and cycles.

    Cold is with empty caches and TLBs, warm after some runs of the same. Instructions are an estimate from
    the accesses. The first line says which core it is, the error that was measured for it on machine code,
    and that of the estimate.

    \b
    [b]Examples[/b]
      hartwell kernel cost                     on Rocket, the calibrated core
      hartwell kernel cost --timing mine.toml  on a core of one's own (hartwell profiles)
      hartwell kernel cost --timing off        accesses, and a cycle for each instruction
      hartwell kernel cost --json

    Each operation is measured on its own; what undoes one is in the next line.
    """
    from hartwell.views.table import print_json, print_table
    from kernel.cost.cost import ESTIMATE
    from kernel.cost.operations import measure_operations

    with opened(None, memory, smp, mmu, load_timing(timing)) as kernel:
        measured = list(measure_operations(kernel))
        modelled = kernel.machine.timing is not None and kernel.machine.timing.modelled
    used = measured[0].warm
    if as_json:
        print_json({"profile": used.profile, "accuracy": used.accuracy, "estimate": ESTIMATE,
                    "operations": list(map(as_dict, measured))})
        return
    print(f"profile  {used.profile} ({used.accuracy}; estimate: {ESTIMATE})\n")
    headings: tuple[str, ...] = ("operation", "loads", "stores", "atomics", "instructions")
    headings += ("L1D misses cold", "warm", "DTLB misses cold", "warm", "cycles cold", "warm") if modelled else (
        "cycles",)
    print_table(headings, [_row(each, modelled) for each in measured])


def _row(each: Measured, modelled: bool) -> list[str]:
    warm, cold = each.warm, each.cold
    counts = [warm.loads, warm.stores, warm.atomics, warm.instructions]
    counts += [cold.l1d_misses, warm.l1d_misses, cold.dtlb_misses, warm.dtlb_misses, cold.cycles] if modelled else []
    return [each.name, *(f"{count:,}" for count in (*counts, warm.cycles))]


def as_dict(measured: Measured) -> dict[str, Any]:
    """An operation for programs."""
    return {"operation": measured.name, "cold": _counts(measured.cold), "warm": _counts(measured.warm)}


def _counts(cost: Cost) -> dict[str, int]:
    return {name: value for name, value in asdict(cost).items() if isinstance(value, int)}
