"""An allocator that is a Python class, searched as tasks of the kernel that it is injected into.

Each execution begins with the same memory, and with the allocator's Python attributes as they were, if it has any:
they are copied (copy.deepcopy). Loops without an access to memory are not ended by anybody.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from hartwell.lab.errors import SpecError
from hartwell.lab.finding import Finding, FindingKind
from hartwell.lab.subject.python import PythonSubject, _finding
from hartwell.lab.subject.setting import Setting
from hartwell.lab.subject.spec import load_subject
from hartwell.lab.subject.subject import SubjectKind
from kernel.errors import KernelError, Misuse, NoMemory
from kernel.mm.check.check import InvariantError, check
from kernel.mm.frame.allocator import FrameDispatch
from kernel.mm.heap.dispatch import AllocDispatch
from kernel.mm.layout import Layout
from kernel.osdk.frame_allocator.frame_allocator import FrameAllocator
from kernel.osdk.heap_allocator import HeapAllocator

from .scenario import Alloc, Scenario, parse_scenario, stock
from .tasks import Job, Prepared, Tasks
from .target import Closing
from .work import Failed

if TYPE_CHECKING:
    from .system import Shown
    from .target import Target

MEMORY: Final = 16 << 20
SEED: Final = 0x5EED_0000_0000_0001
WORD: Final = 8


def open_python(spec: str, harts: int) -> Target:
    """An allocator in Python, or the kernel's own structures (`kernel:NAME`). SpecError, SubjectFailed."""
    if spec.startswith("kernel:"):
        from .kernel import KernelTarget

        return KernelTarget(spec, harts)
    subject = load_subject(spec, Setting(harts=harts, memory=MEMORY))
    if not isinstance(subject, PythonSubject):
        subject.close()
        raise SpecError(f"{spec}: expected an allocator, a race program, or kernel:NAME")
    return PythonTarget(subject, spec, harts)


class PythonTarget(Closing):
    """An allocator in Python."""

    def __init__(self, subject: PythonSubject, spec: str, harts: int) -> None:
        self.name, self._subject, self._harts = spec, subject, harts
        mm = subject.kernel.mm
        self._inner: Any = mm.heap.inner
        if subject.kind is SubjectKind.FRAME:  # no watchdog: it counts lines of a thread, and tasks share one
            self._inner = mm.frame_allocator.inner
            mm.frame_allocator = FrameDispatch(mm, mm.frame_allocator.inner)
        else:
            mm.heap = AllocDispatch(mm, mm.heap.inner)
        self.build = _source_hash(type(self._inner))
        self._known = {id(value): value for value in (mm, *vars(mm).values())}
        self._attributes = self._copied(getattr(self._inner, "__dict__", None))
        self._whole = isinstance(self._inner, FrameAllocator | HeapAllocator)
        self._sound: dict[str, Finding | None] = {}
        self._tasks: Tasks | None = None

    def scenarios(self, seed: int) -> Sequence[str]:
        """See Target."""
        return [str(scenario) for scenario in stock(self._subject.kind, self._harts, seed)]

    def open(self, scenario: str) -> Shown:
        """See Target."""
        parsed = parse_scenario(scenario, self._subject.kind)
        if len(parsed.threads) != self._harts:
            raise SpecError(f"scenario: is for {len(parsed.threads)} CPUs, expected {self._harts} (--harts)")
        if self._tasks is not None:
            self._tasks.close()
        self._tasks = Tasks(self._subject.kernel, lambda: self._prepared(parsed), self._harts)
        return self._tasks

    def close(self) -> None:
        """See Target."""
        if self._tasks is not None:
            self._tasks.close()
        self._subject.close()

    def _copied(self, attributes: dict[str, Any] | None) -> dict[str, Any] | None:
        """A copy of the allocator's attributes; what is the kernel's own is not copied."""
        if attributes is None:
            return None
        try:
            return copy.deepcopy(attributes, dict(self._known))
        except Exception as why:
            raise SpecError(f"{self.name}: cannot be searched: its attributes cannot be copied: {why}") from None

    def _prepared(self, scenario: Scenario) -> Prepared:
        """What an execution begins with."""
        if self._attributes is not None:
            self._inner.__dict__.clear()
            self._inner.__dict__.update(self._copied(self._attributes) or {})
        client = _Client(self._subject)
        for step in scenario.before:
            client.do(step, "before")
        jobs = [_job(client, steps, f"CPU {cpu}") for cpu, steps in enumerate(scenario.threads)]
        return Prepared(jobs, lambda results, digest: self._end(client, results, digest), lambda results: client.given)

    def _end(self, client: _Client, results: Sequence[object], digest: str) -> Finding | None:
        for cpu, result in enumerate(results):
            if isinstance(result, Exception):
                return _raised(result, f"CPU {cpu}")
        for handle in sorted(client.blocks):
            try:
                client.free(handle, "at the end")
            except (KernelError, Misuse) as why:
                return _raised(why, f"at the end, free #{handle}")
        if not self._whole:
            return None
        if digest not in self._sound:  # it takes its time, and says the same of the same
            try:
                check(self._subject.kernel.mm)
                self._sound[digest] = None
            except InvariantError as why:
                self._sound[digest] = Finding(FindingKind.CONTENTS, f"the kernel's check: {why}", expected="no breach",
                                           actual=str(why))
        return self._sound[digest]


class _Client:
    """Who allocates and frees in an execution: what is allocated, and the oracle for it."""

    def __init__(self, subject: PythonSubject) -> None:
        self._subject, self._mm = subject, subject.kernel.mm
        self._frames = subject.kind is SubjectKind.FRAME
        self.blocks: dict[int, tuple[int, Layout]] = {}
        self.given: list[tuple[int, int]] = []

    def do(self, step: object, who: str) -> None:
        """A step of a scenario. Failed, and whatever the kernel raises."""
        if isinstance(step, Alloc):
            self._alloc(step, who)
        else:
            handle = step.handle  # type: ignore[attr-defined]
            if handle in self.blocks:
                self.free(handle, who)

    def _alloc(self, step: Alloc, who: str) -> None:
        layout = Layout(step.size, step.align)
        mm = self._mm
        try:
            address = mm.frame_allocator.alloc(layout) if self._frames else mm.heap.alloc(layout)
        except NoMemory:
            address = None
        self.given.append((step.handle, address or 0))
        if address is None:
            return
        said = f"{who}, alloc {step.size} -> #{step.handle}"
        for handle, (other, its) in self.blocks.items():
            if address < other + its.size and other < address + step.size:
                raise Failed(Finding(FindingKind.OVERLAP, f"{said}: {address:#x}-{address + step.size:#x} overlaps "
                                     f"#{handle} ({other:#x}-{other + its.size:#x}), which is allocated", None, address,
                                     step.size, "memory that nobody has", f"part of #{handle}", {"other": handle}))
        self.blocks[step.handle] = address, layout
        if step.size >= WORD:
            mm.port.store(self._paddr(address), SEED + step.handle)

    def free(self, handle: int, who: str) -> None:
        """Look at a block, and give it back."""
        address, layout = self.blocks[handle]
        mm = self._mm
        if layout.size >= WORD and (found := mm.port.load(self._paddr(address))) != SEED + handle:
            raise Failed(Finding(FindingKind.CONTENTS, f"{who}: the first word of #{handle}, at {address:#x}, has "
                                 f"changed while it was allocated: {found:#x}", None, address, WORD,
                                 f"{SEED + handle:#x}", f"{found:#x}", {"handle": handle}))
        del self.blocks[handle]
        if self._frames:
            mm.frame_allocator.dealloc(address, layout.size)
        else:
            mm.heap.dealloc(address, layout)

    def _paddr(self, address: int) -> int:
        return address if self._frames else self._mm.vaddr_to_paddr(address)


def _job(client: _Client, steps: Sequence[object], who: str) -> Job:
    def run() -> None:
        for step in steps:
            client.do(step, who)

    return Job(", ".join(map(str, steps)), run)


def _raised(why: Exception, who: str) -> Finding:
    """What an exception of the kernel's says about the allocator."""
    found = _finding(why, None, who, Layout(0))
    return Finding(found.kind, f"{who}: {type(why).__name__}: {why}", None, found.address, found.size, found.expected,
                   found.actual, found.details)


def _source_hash(kind: type[object]) -> str:
    """A hash of the source of a class, as far as there is one."""
    try:
        text = inspect.getsource(kind)
    except (OSError, TypeError):
        text = kind.__qualname__
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


