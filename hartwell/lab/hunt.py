"""A hunt: everything that the lab has, tried on one thing in turn, up to the first finding.

    catch = hunt("buddy/missing-merge")
    print(catch.oracle, catch.step, catch.operations, catch.finding)

        an allocator          examination ──> sanitizer ──> interleavings of two harts
        a race program        interleavings
        a client's scenario   every access judged                          client-bugs:double_free

What is hunted is not told of: nobody says where to look. The same budget that finds a planted bug must find nothing in
what is sound. A hunt is deterministic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from .errors import SpecError, SubjectFailed
from .examination import examine
from .finding import Finding, FindingKind
from .subject import catalogue, load_subject
from .subject.guest import GuestSubject
from .subject.setting import Setting
from .trial import Failed, Trial
from .workload import workload

CLIENT: Final = "client-bugs"
CLEAN: Final = "clean"
"""The client's scenario without a bug."""
MEMORY: Final = 32 << 20
_ORACLES: Final = {
    "shadow": (FindingKind.OVERLAP, FindingKind.MISALIGNED, FindingKind.OUT_OF_RANGE),
    "contents": (FindingKind.CONTENTS,),
    "conservation": (FindingKind.LOST, FindingKind.SPLINTERED, FindingKind.EXHAUSTED),
    "call budget": (FindingKind.HANG,),
    "the hart": (FindingKind.CRASH,),
    "promises": (FindingKind.REFUSED, FindingKind.ACCEPTED, FindingKind.NOT_ZEROED),
    "sanitizer": (FindingKind.WRITE_TO_LIVE, FindingKind.USE_AFTER_FREE, FindingKind.OUT_OF_BOUNDS,
                  FindingKind.DOUBLE_FREE, FindingKind.INVALID_FREE),
    "interleavings": (FindingKind.RACE, FindingKind.CHECK, FindingKind.DEADLOCK),
    "cost": (FindingKind.COST,),
}
EXAMINATION, SANITIZED, RACES, EVERY_ACCESS = "examination", "random, sanitized", "two harts", "every access"
"""Steps; an examination that finds something is called as its own step that did."""


@dataclass(frozen=True)
class Budget:
    """What a hunt may spend: `operations` of each workload, `interleavings` of two harts."""

    operations: int = 1_000
    seed: int = 1
    interleavings: int = 3_000


@dataclass(frozen=True)
class Catch:
    """What a hunt for `spec` brought: the `finding` of a `step`, or None; how much had been done by then."""

    spec: str
    finding: Finding | None
    step: str
    operations: int
    interleavings: int

    @property
    def oracle(self) -> str:
        """Who found it; "" if nobody did."""
        return "" if self.finding is None else oracle_of(self.finding, self.step)


def oracle_of(finding: Finding, step: str = "") -> str:
    """The oracle that a finding of a step is of."""
    if step == RACES:
        return "interleavings"
    return next(name for name, kinds in _ORACLES.items() if finding.kind in kinds)


def hunt(spec: str, budget: Budget | None = None) -> Catch:
    """Hunt in what `spec` names: an allocator, a race program, or a client's scenario. SpecError."""
    operations = interleavings = 0
    for step in steps(spec, budget):
        operations += step.operations
        interleavings += step.interleavings
        if step.finding is not None:
            return Catch(spec, step.finding, step.name, operations, interleavings)
    return Catch(spec, None, "", operations, interleavings)


@dataclass(frozen=True)
class Step:
    """A step of a hunt: its name, what it found, and what it did; `failed` is a trial that can be made again."""

    name: str
    finding: Finding | None
    operations: int = 0
    interleavings: int = 0
    failed: Failed | None = None


def steps(spec: str, budget: Budget | None = None) -> Iterator[Step]:
    """The steps of a hunt, each when it is done; whoever takes no more ends it. SpecError."""
    budget = budget or Budget()
    name, _, scenario = spec.partition(":")
    if name == CLIENT:
        yield _client(scenario)
        return
    if name.partition("/")[0] in {entry.name for entry in catalogue.races()}:
        yield _race(spec, budget)
        return
    try:
        subject = load_subject(spec, Setting(memory=MEMORY))
    except SubjectFailed as why:
        yield Step("boot", why.finding)
        return
    with subject:
        examined = examine(subject, budget.operations, budget.seed)
        yield Step(examined.step or EXAMINATION, next(iter(examined.findings), None), examined.operations,
                   failed=examined.failed)
        if isinstance(subject, GuestSubject):
            program = workload("random").operations(subject.kind, subject.memory.size, budget.operations, budget.seed)
            outcome = Trial(subject).run(program, sanitize=True)
            yield Step(SANITIZED, next(iter(outcome.findings), None), outcome.done)
    if isinstance(subject, GuestSubject):
        yield _race(spec, budget)


def _race(spec: str, budget: Budget) -> Step:
    from .race.report import hunt as search
    from .race.search import Strategy
    from .race.target import open_target

    with open_target(spec, 2) as target:
        report = search(target, 2, Strategy(budget=budget.interleavings, seed=budget.seed))
    found = None if report.found is None else report.found.race.finding
    return Step(RACES, found, 0, sum(each.executions + each.cut for each in report.searched))


def _client(scenario: str) -> Step:
    """A scenario of the client that comes along, on the slab heap."""
    from .sanitizer.client import Client, run_client

    data = catalogue.find(CLIENT)
    subject = load_subject("slab", Setting(memory=MEMORY))
    if data is None or not isinstance(subject, GuestSubject):
        raise SpecError(f"{CLIENT}: does not come along")
    with subject:
        outcome = run_client(Client(subject, data.read_bytes(), f"{CLIENT}.elf"), scenario, explain=False)
    return Step(EVERY_ACCESS, outcome.finding, outcome.calls)


def planted() -> list[tuple[str, str]]:
    """Every planted bug that comes along: what to hunt, and what is wrong with it."""
    entries = [*catalogue.allocators(), *catalogue.races()]
    found = [(entry.name, entry.title) for entry in entries if entry.plant]
    return found + [(f"{CLIENT}:{name}", f"client: {name.replace('_', ' ')}") for name in _scenarios() if name != CLEAN]


def sound() -> list[str]:
    """In what nothing may be found: all allocators in guest code, race programs, the clean client."""
    entries = [*catalogue.allocators(), *catalogue.races()]
    found = [entry.name for entry in entries if not entry.plant and entry.name not in catalogue.OWN]
    return [*found, f"{CLIENT}:{CLEAN}"]


def _scenarios() -> list[str]:
    """The scenarios of the client that comes along, by name."""
    from .sanitizer.client import PREFIX
    from .subject import text

    data = catalogue.find(CLIENT)
    if data is None:
        return []
    image = text.read_text(data.read_bytes(), CLIENT, text.CLIENT_TEXT)
    return sorted(symbol.name.removeprefix(PREFIX) for symbol in image.symbols if symbol.name.startswith(PREFIX))
