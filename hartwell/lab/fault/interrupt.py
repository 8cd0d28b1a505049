"""An interrupt at instruction N of a call, whose handler calls the allocator itself, on the same hart.

        hart      … allocator's code, N instructions ──┐ software interrupt            ┌──> … the rest of the call
        handler                                        └─> alloc (dealloc) ──> sret ───┘

The lab's contract says that interrupts are off in an allocator, so that one that takes a lock waits for itself here
(HANG), and one that takes none shows its handler lists that are half written (SILENT). Only one that is meant for it
comes out MASKED every time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from emulator import Stepped
from hartwell.lab.operation import OPERATION, RESULT, Kind, State, describe
from hartwell.lab.subject.guest import PREFIXES, GuestSubject
from hartwell.lab.subject.subject import SubjectKind
from kernel.cpu.abi import SSTATUS_SIE, SSTATUS_SPIE
from kernel.cpu.trap import INTERRUPT

from .golden import SPARE_HANDLES, Golden
from .verdict import Injection, Verdict

if TYPE_CHECKING:
    from emulator import Stop
    from emulator.runloop import Poll
    from kernel.cpu.abi import TrapFrame

KIND: Final = "interrupt"
TARGETS: Final = ("alloc", "alloc+dealloc")
SOFTWARE: Final = 1
"""The number of the supervisor software interrupt, in sip, sie and scause."""
PREAMBLE: Final = 400
"""Instructions in which the driver comes to the call."""


def interrupt(golden: Golden, number: int, target: str, random: np.random.Generator) -> Injection | None:
    """Interrupt a call somewhere; None if the golden run makes none."""
    subject = golden.subject
    assert isinstance(subject, GuestSubject)
    calls = golden.calls()
    if not calls:
        return None
    operation = calls[int(random.integers(len(calls)))]
    length = int(golden.results["instructions"][operation])
    at = int(random.integers(max(length, 1)))
    granule = subject.kind.granule
    size = granule << int(random.integers(4))
    shadow = golden.at(operation)
    handle = golden.handles - SPARE_HANDLES
    handler = _Handler(subject, at, size, max(granule, 8), give_back=target != TARGETS[0])
    asked = golden.operations[operation:operation + 1]
    with handler:
        results, failed = golden.attempt(asked)
    what = f"after {at} of the {length} instructions of {describe(asked[0])}, in {handler.where}"

    def ended(verdict: Verdict, said: str) -> Injection:
        return Injection(number, KIND, target, operation, what, verdict, said)

    # The handler's calls were over before the call that it interrupted, and began behind it.
    own = np.zeros(1, dtype=OPERATION)
    own["kind"], own["handle"], own["size"], own["align"] = Kind.ALLOC, handle, size, max(granule, 8)
    gave = np.zeros(1, dtype=RESULT)
    gave["state"], gave["value"] = State.DONE, handler.got
    if asked["kind"][0] == Kind.DEALLOC and handler.got:  # the freed block may be free, or not yet
        shadow.follow(asked, results)
        results = results[:0]
        asked = asked[:0]
    if handler.got and not handler.freed and (found := golden.judge(shadow, own, gave, None)) is not None:
        return ended(*found)
    if (found := golden.judge(shadow, asked, results, failed)) is not None:
        return ended(*found)
    if handler.got and not handler.freed:  # the driver knows nothing of the handler's block
        back = np.zeros(1, dtype=OPERATION)
        back["kind"], back["handle"] = Kind.DEALLOC, handle
        block = subject.workspace.blocks[handle]
        block["address"], block["size"], block["align"] = handler.got, size, max(granule, 8)
        block["first"] = block["last"] = handler.got
    verdict, said = golden.verdict(operation + 1, shadow, own=False)
    if not handler.taken and verdict is Verdict.MASKED:
        said = "the call was over before"
    return ended(verdict, said)


class _Handler:
    """Interrupts the next call at its instruction `at`, in a `with` block, and is the interrupt's handler."""

    def __init__(self, subject: GuestSubject, at: int, size: int, align: int, give_back: bool) -> None:
        self._subject, self._at, self._size, self._align, self._give_back = subject, at, size, align, give_back
        self.taken = False
        self.got = 0
        """The address that the handler was given."""
        self.freed = False
        self.where = "nothing"
        """Where the hart was."""

    def __enter__(self) -> _Handler:
        subject = self._subject
        self._before = subject.kernel.service.traps.register(INTERRUPT | SOFTWARE, self._handle)
        subject.machine.runner = self._run
        return self

    def __exit__(self, *about: object) -> None:
        self._subject.machine.runner = None
        traps = self._subject.kernel.service.traps
        if self._before is None:
            traps.unregister(INTERRUPT | SOFTWARE)
        else:
            traps.register(INTERRUPT | SOFTWARE, self._before)

    def _run(self, max_insns: int | None, timeout: float | None, poll: Poll | None) -> Stop:
        """Run the machine: to the call's instruction, and from there with an interrupt."""
        subject = self._subject
        machine, hart = subject.machine, subject.machine.harts[0]
        machine.runner = None
        for _ in range(PREAMBLE):
            if any(hart.pc in code for code in subject.text.code):
                break
            stop = machine.proceed(max_insns, timeout, poll, steps=1)
            if not isinstance(stop, Stepped):
                return stop
        if self._at:
            stop = machine.proceed(max_insns, timeout, poll, steps=self._at)
            if not isinstance(stop, Stepped):
                return stop
        self.where = subject.where(hart.pc)
        for csr, bits in ("sip", 1 << SOFTWARE), ("sie", 1 << SOFTWARE), ("sstatus", SSTATUS_SIE):
            hart.write_csr(csr, hart.read_csr(csr) | bits)
        return machine.proceed(max_insns, timeout, poll)

    def _handle(self, cpu: int, frame: TrapFrame) -> None:
        """The interrupt's handler: once, with interrupts off from then on."""
        subject = self._subject
        hart = subject.kernel.service.hart(cpu)
        for csr in "sip", "sie":
            hart.write_csr(csr, hart.read_csr(csr) & ~(1 << SOFTWARE))
        frame.sstatus &= ~SSTATUS_SPIE
        self.taken = True
        prefix = PREFIXES[subject.kind]
        self.got = subject.call(cpu, subject.text.address(prefix + "alloc"), self._size, self._align)
        if self.got and self._give_back:
            extra = (self._align,) if subject.kind is SubjectKind.HEAP else ()
            subject.call(cpu, subject.text.address(prefix + "dealloc"), self.got, self._size, *extra)
            self.freed = True


