"""The judge: whether other operations fail in the same way as some have."""

from __future__ import annotations

import numpy as np

from hartwell.lab.finding import Finding, FindingKind
from hartwell.lab.operation import OPERATION, Kind, Operations
from hartwell.lab.trial import Outcome, Trial


class Judge:
    """Tries operations on `trial`'s subject as `cpu`; `finding` is what they are to fail with.

    The same way is: the same kind, and for a crash the same cause or panic; seen at an operation, or at the end, as it
    was. What is seen at the end only needs everything given back; otherwise that is left away, for it takes longest.
    """

    def __init__(self, trial: Trial, cpu: int, finding: Finding) -> None:
        self.trial, self.cpu, self.finding = trial, cpu, finding
        self.at_end = finding.operation is None
        self.trials = 0
        """Trials that were made."""
        self.operations = 0
        """Operations in them."""

    def __call__(self, operations: Operations) -> Finding | None:
        """The finding if they fail in the same way."""
        self.trials += 1
        self.operations += len(operations)
        outcome = self.trial.run(operations, self.cpu, conserve=self.at_end)
        return next((finding for finding in outcome.findings if same(finding, self.finding)), None)


def same(one: Finding, other: Finding) -> bool:
    """Whether two findings are of one and the same failure, as far as that can be told."""
    if one.kind is not other.kind or (one.operation is None) != (other.operation is None):
        return False
    return one.kind is not FindingKind.CRASH or one.actual == other.actual


def explicit(trial: Trial, outcome: Outcome, cpu: int) -> tuple[Operations, Finding]:
    """A failing trial's operations up to the first finding, and that finding.

    A failure that shows when everything is given back at the end becomes one of an operation: with these deallocations
    in the program.
    """
    finding, operations = outcome.findings[0], outcome.operations
    if finding.operation is not None:
        return operations[:finding.operation + 1], finding
    longer = np.concatenate([operations, given_back(operations)])
    if len(longer) == len(operations) or not trial.run(operations, cpu, conserve=False).ok:
        return operations, finding
    found = trial.run(longer, cpu).findings
    if found and found[0].operation is not None and found[0].kind is finding.kind:
        return longer[:found[0].operation + 1], found[0]
    return operations, finding


def given_back(operations: Operations) -> Operations:
    """What gives back all blocks that a program leaves, if every allocation finds memory; in the order of handles."""
    held: set[int] = set()
    for kind, handle, size, _, _ in operations.tolist():
        if kind == Kind.ALLOC:
            held.add(handle)
        elif kind == Kind.DEALLOC:
            held.discard(handle)
        elif kind == Kind.SPLIT and handle in held:
            held.add(size)
    end = np.zeros(len(held), dtype=OPERATION)
    end["kind"], end["handle"] = Kind.DEALLOC, sorted(held)
    return end
