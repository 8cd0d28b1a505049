"""The workloads by name: those that are made, and the traces that come along.

    lifo, random, power-law, …      made
    trace:boot                      recorded, hartwell/lab/workload/traces/boot.trace
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Final

from hartwell.lab.subject.subject import SubjectKind

from . import levels, sizes
from .errors import WorkloadError
from .lives import ANY, NEWEST, OLDEST
from .rounds import fragmentation
from .trace import Trace
from .workload import Workload, living

PREFIX: Final = "trace:"
TRACE: Final = ".trace"
_FRAMES: Final = (SubjectKind.FRAME,)

_MADE: Final = (
    Workload("churn", "one block, given back at once, and again: the shortest path through an allocator",
             living(sizes.mixed, levels.one, NEWEST, checks=0)),
    Workload("lifo", "a stack: what came last goes first", living(sizes.mixed, levels.noise, NEWEST)),
    Workload("fifo", "a queue: what came first goes first", living(sizes.mixed, levels.noise, OLDEST)),
    Workload("random", "anything at any time: all sizes, some alignments, any block goes",
             living(sizes.mixed, levels.noise, ANY)),
    Workload("powers", "sizes at powers of two, one below and one above",
             living(sizes.around_powers, levels.noise, ANY)),
    Workload("bimodal", "nine small blocks for each large one", living(sizes.bimodal, levels.full, ANY)),
    Workload("power-law", "many small blocks and a few very large ones, as programs have them",
             living(sizes.power_law, levels.full, ANY)),
    Workload("aligned", "alignments of all scales, whatever the size", living(sizes.aligned, levels.noise, ANY)),
    Workload("ramp", "allocate up to the limit, then give everything back, and again",
             living(sizes.mixed, levels.ramp, OLDEST)),
    Workload("sawtooth", "slowly up with much coming and going, down at once to a fifth, and again",
             living(sizes.power_law, levels.sawtooth, ANY)),
    Workload("producer-consumer", "bursts of allocations, taken off by bursts of deallocations, oldest first",
             living(sizes.bimodal, levels.bursts, OLDEST)),
    Workload("fragmentation", "the attack: fill, free every second, ask for larger ones", fragmentation),
    Workload("parts", "frames are cut up and given back in parts, in any order",
             living(sizes.mixed, levels.noise, ANY, splits=6), _FRAMES),
)


def made() -> tuple[Workload, ...]:
    """The workloads that are made, in order."""
    return _MADE


def recorded() -> tuple[Workload, ...]:
    """The traces that come along, as workloads, by name."""
    folder = files(__package__).joinpath("traces")
    found = [entry for entry in folder.iterdir() if entry.name.endswith(TRACE)] if folder.is_dir() else []
    return tuple(Trace.parse(entry.read_bytes(), entry.name).workload(PREFIX + entry.name.removesuffix(TRACE))
                 for entry in sorted(found, key=lambda entry: entry.name))


def names(kind: SubjectKind | None = None) -> list[str]:
    """All names, those of `kind` only if it is given; made ones first."""
    return [each.name for each in (*_MADE, *recorded()) if kind is None or kind in each.kinds]


def workload(name: str) -> Workload:
    """The workload called `name`, or of the trace in the file of that name, FILE.trace.

    WorkloadError, which names all, if there is none; TraceError for a damaged file.
    """
    if name.endswith(TRACE) and not name.startswith(PREFIX):
        return Trace.load(name).workload(name)
    look: tuple[Callable[[], tuple[Workload, ...]], ...] = (made, recorded)
    for source in look:
        for each in source():
            if each.name == name:
                return each
    raise WorkloadError(f"no workload is called {name}: expected one of {', '.join(names())}")
