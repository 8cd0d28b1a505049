"""Workloads: programs for allocators, made by the million from a name and a seed, or recorded from what really ran.

    workload("power-law").operations(SubjectKind.FRAME, memory=16 << 20, count=1_000_000, seed=7)

        sizes ── level ── order ──> lives (native) ──> Operations         made: workload, sizes, levels, lives
        hartwell record ──────────> trace file ──────> Operations         recorded: trace, recorder
"""

from .catalogue import made, names, recorded, workload
from .errors import TraceError, WorkloadError
from .workload import HANDLES, Demand, Workload

__all__ = ["HANDLES", "Demand", "TraceError", "Workload", "WorkloadError", "made", "names", "recorded", "workload"]
