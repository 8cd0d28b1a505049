"""The allocator lab: calls of a guest allocator a second, operations under all oracles, and a pristine allocator again.

A *call* is one operation of the C buddy that comes along (allocation or deallocation of frames), done by the lab's
driver on a hart. *Checked* operations are those of a trial: blocks are filled and looked at, the shadow follows.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from .measure import Figure, interleaved, timed

if TYPE_CHECKING:
    from hartwell.lab.operation import Operations
    from hartwell.lab.subject import Subject

CALLS = 100_000
CHECKED = 1_000_000
ROUNDS = 3
RESETS = 50
LOAD = "power-law"


def _operations(subject: Subject, count: int) -> Operations:
    from hartwell.lab.workload import workload

    return workload(LOAD).operations(subject.kind, subject.memory.size, count, seed=1)


def calls() -> list[Figure]:
    """Raw calls a second, without a timing model and with; nothing but the driver is between them."""
    from emulator.timing import load_profile
    from hartwell.lab.subject import load_subject
    from hartwell.lab.subject.setting import Setting

    processor: dict[str, list[float]] = {"off": [], "on": []}

    def rate(name: str, subject: Subject) -> float:
        subject.reset()
        before = time.process_time()
        seconds = timed(lambda: subject.run(operations, contents=False))
        processor[name].append(CALLS / (time.process_time() - before))
        return CALLS / seconds

    with load_subject("buddy") as plain, load_subject("buddy", Setting(timing=load_profile("rocket"))) as timing:
        operations = _operations(plain, CALLS)
        rates = interleaved(ROUNDS, off=lambda: rate("off", plain), on=lambda: rate("on", timing))
    notes = {name: f"{LOAD}; {statistics.median(each):,.0f} by processor time" for name, each in processor.items()}
    return [
        Figure("calls of a guest allocator", rates["off"], "calls/s", 200_000, least=True, note=notes["off"]),
        Figure("calls of a guest allocator, Rocket's cycles", rates["on"], "calls/s", 50_000, least=True,
               note=notes["on"]),
    ]


def checked() -> Figure:
    """A trial of a million operations under all oracles: seconds, the making of the operations included."""
    from hartwell.lab.subject import load_subject
    from hartwell.lab.trial import Trial

    with load_subject("buddy") as subject:
        trial = Trial(subject)
        trial.run(_operations(subject, 1000))
        found = []

        def whole() -> None:
            found.append(trial.run(_operations(subject, CHECKED)))

        before = time.process_time()
        seconds = timed(whole)
        processor = time.process_time() - before
    findings = found[0].findings
    return Figure("a million checked operations on the C buddy", seconds, "s", 60,
                  note=f"{LOAD}; {processor:.1f} s by processor time, {len(findings)} findings")


def resets() -> Figure:
    """Milliseconds until a used allocator is pristine again."""
    from hartwell.lab.subject import load_subject

    with load_subject("buddy") as subject:
        operations = _operations(subject, 500)

        def once() -> float:
            subject.run(operations)
            return timed(subject.reset)

        subject.reset()
        median = interleaved(RESETS, reset=once)["reset"]
    return Figure("a used allocator pristine again", median * 1e3, "ms", note="behind 500 operations")


def figures() -> list[Figure]:
    """All of them."""
    return [*calls(), checked(), resets()]
