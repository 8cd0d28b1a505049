"""Hypothesis' state machines over any allocator: it chooses every operation, and shrinks what fails.

    TestMine = machine_for(lambda: load_subject("./mine.elf")).TestCase         # in a test of your own
    searched = explore(subject)                                                 # hartwell lab search --hypothesis

        rules     alloc(size, align) -> block     dealloc(block)     split(block) -> block     check(block)     add
        always    the shadow: no overlap, alignment, range, contents
        the end   everything is given back, and all memory can be had again

In a test Hypothesis shrinks what fails; `explore` has `shrink` do that, whose trials take a hundredth of the time.
Needs hypothesis: importing this module without it raises SearchError, which says what to do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Final

import numpy as np

from hartwell.lab.finding import Finding
from hartwell.lab.operation import OPERATION, Operations
from hartwell.lab.oracle.conservation import Conservation
from hartwell.lab.subject import Subject, SubjectKind
from hartwell.lab.trial import Trial

from .directed import Found, Progress, Searched, shrink
from .errors import SearchError
from .shrink import PATIENCE
from .steps import MOST, AllocatorFailed, Steps

try:
    from hypothesis import HealthCheck, Phase, Verbosity, settings, strategies
    from hypothesis import seed as seeded
    from hypothesis.stateful import (
        Bundle, RuleBasedStateMachine, consumes, multiple, precondition, rule, run_state_machine_as_test,
    )
except ImportError:
    raise SearchError("this search needs hypothesis, which is not installed: pip install 'hartwell[lab]'; or leave "
                      "--hypothesis away, and workloads are tried") from None

LARGEST: Final = 64
"""Pages of the largest block of frames that is asked for, and as many kilobytes of heap."""


class AllocatorMachine(RuleBasedStateMachine):
    """A state machine of one allocator; `machine_for` makes it. Its state is a `Steps`."""

    make: ClassVar[Callable[[], Subject]]
    spare: ClassVar[tuple[tuple[int, int], ...]] = ()
    """Offset and bytes of memory that can be added."""
    subject: ClassVar[Subject | None] = None
    conservation: ClassVar[Conservation | Finding | None] = None
    tape: ClassVar[list[AllocatorFailed]] = []
    """The last failure."""
    count: ClassVar[list[int]]
    """How many examples there were, and operations."""

    blocks: Bundle[int] = Bundle("blocks")

    def __init__(self) -> None:
        super().__init__()
        cls = type(self)
        if cls.subject is None:
            cls.subject = cls.make()
            if not cls.spare:
                cls.conservation = Trial(cls.subject).conservation
        if isinstance(cls.conservation, Finding):  # it is wrong already when pristine
            cls.tape[:] = [AllocatorFailed(cls.conservation, np.zeros(0, dtype=OPERATION))]
            raise cls.tape[0]
        self.steps = Steps(cls.subject, cls.conservation)
        self._spare = list(cls.spare)
        self._failed = False
        cls.count[0] += 1

    @property
    def _frames(self) -> bool:
        assert self.subject is not None
        return self.subject.kind is SubjectKind.FRAME

    @rule(target=blocks, units=strategies.integers(1, LARGEST), power=strategies.integers(0, 6),
          shift=strategies.integers(0, 4))
    def alloc(self, units: int, power: int, shift: int) -> Any:
        """Allocate; a heap's sizes are of all scales."""
        size, align = (units * 4096, 4096 << power) if self._frames else (units << 2 * shift, 8 << power)
        if len(self.steps) >= MOST - 1:
            return multiple()
        handle = self._try(lambda: self.steps.alloc(size, align))
        return multiple() if handle is None else handle

    @rule(block=consumes(blocks))
    def dealloc(self, block: int) -> None:
        """Give back."""
        self._try(lambda: self.steps.dealloc(block))

    @rule(block=blocks)
    def check(self, block: int) -> None:
        """Look at the contents."""
        self._try(lambda: self.steps.check(block))

    @precondition(lambda self: self._frames)
    @rule(target=blocks, block=blocks, where=strategies.integers(0, LARGEST))
    def split(self, block: int, where: int) -> Any:
        """Cut a block of frames in two."""
        pages = self.steps.sizes[block] // 4096
        if pages < 2:
            return multiple()
        return self._try(lambda: self.steps.split(block, (1 + where % (pages - 1)) * 4096))

    @precondition(lambda self: self._spare)
    @rule(which=strategies.integers(0, 64))
    def add(self, which: int) -> None:
        """Give the allocator more memory."""
        offset, size = self._spare.pop(which % len(self._spare))
        self._try(lambda: self.steps.add(offset, size))

    def teardown(self) -> None:
        """Everything comes back."""
        self.count[1] += len(self.steps)
        if not self._failed:
            self._try(self.steps.end)

    def _try(self, step: Callable[[], Any]) -> Any:
        try:
            return step()
        except AllocatorFailed as why:
            self._failed = True
            self.tape[:] = [why]
            raise


def machine_for(make: Callable[[], Subject], spare: tuple[tuple[int, int], ...] = ()) -> type[AllocatorMachine]:
    """The state machine of the allocator that `make` gives, once; `.TestCase` is what pytest and unittest run.

    `spare` is memory that it was not given at first (`Setting.pieces`), offset and bytes, which the rule `add` adds.
    """
    return type("AllocatorMachine", (AllocatorMachine,), {"make": staticmethod(make), "spare": spare, "tape": [],
                                                          "count": [0, 0]})


def explore(subject: Subject, *, examples: int = 100, steps: int = 50, seed: int = 0, patience: int = PATIENCE,
            progress: Progress = lambda done, of, note: None) -> Searched:
    """Have Hypothesis look for a failure of `subject`: `examples` programs of up to `steps` operations.

    The same `seed` gives the same result. SearchError if Hypothesis gives up for reasons of its own.
    """
    machine = machine_for(lambda: subject)
    plan = settings(max_examples=max(examples, 1), stateful_step_count=max(steps, 1), deadline=None, database=None,
                    suppress_health_check=list(HealthCheck), verbosity=Verbosity.quiet, print_blob=False,
                    report_multiple_bugs=False, phases=(Phase.generate,))
    progress(0, examples, " of Hypothesis")
    try:
        run_state_machine_as_test(seeded(seed)(machine), settings=plan)
    except AllocatorFailed as why:
        failure = machine.tape[-1] if machine.tape else why
        found = _smaller(subject, failure, f"Hypothesis, seed {seed}", patience, progress)
        return Searched(machine.count[0], machine.count[1], found)
    return Searched(machine.count[0], machine.count[1], None)


def _smaller(subject: Subject, failure: AllocatorFailed, how: str, patience: int, progress: Progress) -> Found:
    operations: Operations = failure.operations
    found = shrink(subject, operations, how, patience=patience, progress=progress)
    return found or Found(replace(failure.finding), operations, how, failure.finding, len(operations), 0)
